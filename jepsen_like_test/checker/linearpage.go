package checker

import (
	"fmt"
	"time"

	"github.com/anishathalye/porcupine"
)

// WritePage draws the channel that was found wrong, up to the wrong answer, with
// the faults: a page for a browser. Where nothing was found it writes none.
func (r LinearReport) WritePage(path string, limit time.Duration) (written bool, err error) {
	if r.bad == nil {
		return false, nil
	}
	_, info := porcupine.CheckOperationsVerbose(r.model, r.bad, limit)
	var marks []porcupine.Annotation
	for _, f := range r.faults {
		marks = append(marks, porcupine.Annotation{Tag: f.Via, Start: int64(f.place), Description: f.Text, Details: f.At.String()})
	}
	info.AddAnnotations(marks)
	if err := porcupine.VisualizePath(r.model, info, path); err != nil {
		return false, fmt.Errorf("draw the history: %w", err)
	}
	return true, nil
}
