//go:build !race

package sim

import "time"

// smoke is how long each workload works under all nemeses, in the cluster's time.
const smoke = 10 * time.Minute
