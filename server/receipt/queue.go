package receipt

import "iter"

// queue is first in, first out. Its zero value is empty.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) len() int { return len(q.items) - q.head }

func (q *queue[T]) push(item T) { q.items = append(q.items, item) }

// pop takes the first one; there must be one.
func (q *queue[T]) pop() T {
	var none T
	item := q.items[q.head]
	q.items[q.head] = none
	q.head++
	if q.head > len(q.items)/2 { // moves each item at most once per pop
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return item
}

// first is the next one to be popped; there must be one.
func (q *queue[T]) first() T { return q.items[q.head] }

// all is the items in their order.
func (q *queue[T]) all() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, item := range q.items[q.head:] {
			if !yield(item) {
				return
			}
		}
	}
}
