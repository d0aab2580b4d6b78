package fleet

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
)

func TestLags(t *testing.T) {
	acked := []server.Sighting{{UID: "a", At: 100 * time.Millisecond}, {UID: "b", At: 200 * time.Millisecond}}
	seen := []server.Sighting{{UID: "b", At: 199 * time.Millisecond}, {UID: "a", At: 106 * time.Millisecond}}
	got, err := lags(acked, seen)
	if diff := cmp.Diff([]time.Duration{6 * time.Millisecond, 0}, got); err != nil || diff != "" {
		t.Errorf("%v, lags (-want +got):\n%s", err, diff)
	}
	if _, err := lags(acked, seen[:1]); err == nil {
		t.Error("a member that was never seen: got no error")
	}
}
