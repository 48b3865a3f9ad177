package fleet

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/wedsync/wedsync/client"
)

// Region is a region and the sockets of its nodes.
type Region struct {
	Name string
	URLs []string // ws://host:port/socket
}

var regionForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// ParseRegions reads "eu-west=ws://host:port/socket,us-east=ws://…": the form of WEDSYNC_REGIONS. A region with several
// nodes is repeated.
func ParseRegions(s string) ([]Region, error) {
	var regions []Region
	for _, part := range strings.Split(s, ",") {
		name, u, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return nil, fmt.Errorf("regions: %q should read region=ws://host:port/socket", part)
		}
		i := slices.IndexFunc(regions, func(r Region) bool { return r.Name == name })
		if i < 0 {
			i = len(regions)
			regions = append(regions, Region{Name: name})
		}
		regions[i].URLs = append(regions[i].URLs, u)
	}
	return regions, checkRegions(regions)
}

// checkRegions says all that is wrong with the regions.
func checkRegions(regions []Region) error {
	var errs []error
	if len(regions) == 0 {
		errs = append(errs, errors.New("regions: at least one is needed, as in eu-west=ws://host:port/socket"))
	}
	seen := map[string]bool{}
	for _, r := range regions {
		if !regionForm.MatchString(r.Name) {
			errs = append(errs, fmt.Errorf("regions: the name %q may hold only a-z, 0-9 and -", r.Name))
		}
		if seen[r.Name] {
			errs = append(errs, fmt.Errorf("regions: %q stands there twice", r.Name))
		}
		seen[r.Name] = true
		if len(r.URLs) == 0 {
			errs = append(errs, fmt.Errorf("regions: %q has no URL", r.Name))
		}
		for _, s := range r.URLs {
			if u, err := url.Parse(s); err != nil || u.Host == "" || u.Scheme != "ws" && u.Scheme != "wss" {
				errs = append(errs, fmt.Errorf("regions: %s: %q should be a URL like ws://host:port/socket", r.Name, s))
			}
		}
	}
	return errors.Join(errs...)
}

// endpoints orders the nodes for one vendor, most preferred first: wedding i begins with region i (moved by the seed)
// and goes round, so that every region carries the same load; within a region the vendors take turns at the nodes.
func endpoints(regions []Region, wedding, vendor int, seed uint64) []client.Endpoint {
	var list []client.Endpoint
	n := uint64(len(regions))
	first := (uint64(wedding) + seed) % n
	for k := range n {
		r := regions[(first+k)%n]
		for j := range r.URLs {
			list = append(list, client.Endpoint{Region: r.Name, URL: r.URLs[(vendor+j)%len(r.URLs)]})
		}
	}
	return list
}
