package api

import (
	"net/http"
	"strconv"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/limit"
)

// The texts of the protocol for whoever says too much.
const (
	textTooMany  = "Too many requests"
	textTooBatch = "Too many messages to broadcast, please reduce the batch size"
)

// tooLarge says whether a payload is over the limit.
func (a *api) tooLarge(size int) bool {
	most := a.Limits.Limits.PayloadBytes
	if most > 0 && size > most {
		a.Limits.Reached(limit.Payload)
		return true
	}
	return false
}

// overRate answers events that are too many, and says so. Urgent ones are never too many.
func (a *api) overRate(w http.ResponseWriter, events []*backbone.Event) bool {
	most, average := a.Limits.Limits.EventsPerSecond, int(a.Limits.Events.Average())
	if most == 0 {
		return false
	}
	h := w.Header()
	h.Set("X-Rate-Rolling", strconv.Itoa(average))
	h.Set("X-Rate-Limit", strconv.Itoa(most))
	h.Set("X-Rate-Limit-Remaining", strconv.Itoa(max(0, most-average)))
	normal := 0
	for _, ev := range events {
		if ev.Lane != protocol.Urgent {
			normal++
		}
	}
	text := ""
	switch {
	case normal == 0:
		return false
	case a.Limits.Events.Exceeded():
		text = textTooMany
	case average+normal > most:
		text = textTooBatch
	default:
		return false
	}
	a.Limits.Reached(limit.Events)
	a.Metrics.MessagesDropped.WithLabelValues("rate").Add(float64(normal))
	writeMessage(w, http.StatusTooManyRequests, text)
	return true
}
