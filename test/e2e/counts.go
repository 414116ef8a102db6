//go:build e2e

package e2e

import (
	"os"
	"time"
)

// counts are how much the long tests do. `make test` has the small numbers, `make soak` (SILT_SOAK=1) those that docs/reliability.md
// reports.
type counts struct {
	kills       int // of silt by SIGKILL
	killRate    int // records a second that arrive meanwhile
	demoKills   int // of the whole demo: broker, registry, connector and query
	oracleSeeds int // random schemas whose tables are compared value by value
	storeRaces  int // rounds of 100 writers of one key of an object store
	listed      int // objects in a listing of several pages
	// on each object store
	remoteKills int
	remoteRate  int           // records a second that arrive during kills and storms
	storm       time.Duration // how long requests fail in every way
	pairs       int           // of runs of one query at once
	soaking     bool
}

func theCounts() counts {
	if os.Getenv("SILT_SOAK") == "1" {
		return counts{kills: 100, killRate: 50_000, demoKills: 50, oracleSeeds: 200, storeRaces: 100, listed: 10_000,
			remoteKills: 40, remoteRate: 5_000, storm: 5 * time.Minute, pairs: 100, soaking: true}
	}
	return counts{kills: 25, killRate: 50_000, demoKills: 10, oracleSeeds: 20, storeRaces: 10, listed: 1_100,
		remoteKills: 5, remoteRate: 5_000, storm: 30 * time.Second, pairs: 10}
}
