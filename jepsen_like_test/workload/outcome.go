package workload

import (
	"errors"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/node"
)

// outcome is what the product says about a failed write. Anything it does not say
// anything about, such as a broken connection, is unknown. An error that claims
// two classes at once is unknown here too, and the promise that it breaks is
// checked where errors are made.
func outcome(err error) history.Type {
	switch err = node.FromStatus(err); {
	case err == nil:
		return history.OK
	case errors.Is(err, node.ErrOutcomeUnknown):
		return history.Unknown
	case errors.Is(err, node.ErrRejected), errors.Is(err, node.ErrNotSent):
		return history.Fail
	}
	return history.Unknown
}

// failed notes the error of a write.
func failed(e *history.Event, err error) {
	if err != nil {
		e.Text = err.Error()
	}
}
