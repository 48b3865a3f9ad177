package fleet

import (
	"fmt"
	"hash/fnv"
)

// Planner is the type of the vendor that coordinates the others: the usual publisher. It always has two homes.
const Planner = "planner"

// Types are the trades of a luxury wedding, in the order in which a wedding of n vendors engages them.
var Types = []string{Planner, "venue", "photographer", "videographer", "florist", "caterer", "baker", "band", "officiant",
	"hair-makeup", "transport", "rentals"}

// Vendor is one supplier of a wedding.
type Vendor struct {
	Name  string // unique in the wedding
	Type  string // its trade, a metric tag
	Homes int    // in how many regions it keeps a socket: 1 or 2
}

// Vendors engages n vendors: a planner first, then each trade in turn. A share of them, spread evenly over all weddings
// and never a planner, has one home; the others have homes. The index is the number of the wedding in the run.
func Vendors(n, homes int, singleHomed float64, index int, seed uint64) []Vendor {
	vendors := make([]Vendor, n)
	count := map[string]int{}
	for i := range vendors {
		t := Types[0]
		if i > 0 {
			t = Types[1+(i-1)%(len(Types)-1)]
		}
		count[t]++
		vendors[i] = Vendor{Name: fmt.Sprintf("%s-%d", t, count[t]), Type: t, Homes: homes}
	}
	// Over the first k weddings, floor(k × n × share) vendors have one home: exact in the sum, not only on average.
	per := float64(n) * singleHomed
	single := int(float64(index+1)*per) - int(float64(index)*per)
	for i := range min(single, n-1) {
		vendors[1+(i+index+int(seed%uint64(n)))%(n-1)].Homes = 1
	}
	return vendors
}

// hash mixes names and a seed into a number that is the same in every run.
func hash(seed uint64, names ...string) uint64 {
	h := fnv.New64a()
	for _, n := range names {
		h.Write([]byte(n))
		h.Write([]byte{0})
	}
	return h.Sum64() ^ seed*0x9e3779b97f4a7c15
}
