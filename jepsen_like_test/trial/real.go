package trial

import (
	"context"
	"errors"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
)

// RunReal runs s on real processes of that binary.
func RunReal(ctx context.Context, s Spec, b harness.Binary, dir string) (*Result, error) {
	return nil, errors.New("not yet")
}
