package trial

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

const resultFile = "result.json"

// Folder makes dir, or a new folder if it is "". remove removes a new one; dir stays.
func Folder(dir string) (made string, remove func(), err error) {
	if dir != "" {
		return dir, func() {}, os.MkdirAll(dir, 0o700)
	}
	made, err = os.MkdirTemp("", "jepsen-run-")
	return made, func() { _ = os.RemoveAll(made) }, err
}

// Keep writes what is needed to understand a run into dir: its result, its history,
// the logs by name, the timeline, and the search for an order where there was one.
func (r *Result) Keep(dir string, events []history.Event, logs map[string]string) error {
	r.Dir = dir
	errs := []error{
		os.WriteFile(filepath.Join(dir, "repeat.txt"), []byte(r.Spec.Command()+"\n"), 0o600),
		r.Write(filepath.Join(dir, resultFile)),
		writeHistory(filepath.Join(dir, "history.jsonl"), events),
		os.WriteFile(filepath.Join(dir, "timeline.svg"), []byte(Timeline(events)), 0o600),
	}
	for name, text := range logs {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name+".log"), []byte(text), 0o600))
	}
	if r.page != nil {
		_, err := r.page(filepath.Join(dir, "linearizability.html"))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Write writes the result as JSON.
func (r *Result) Write(path string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return os.WriteFile(path, text, 0o600)
}

// SpecIn is the spec of the run that left dir.
func SpecIn(dir string) (Spec, error) {
	text, err := os.ReadFile(filepath.Join(dir, resultFile))
	if err != nil {
		return Spec{}, err
	}
	var r Result
	if err := json.Unmarshal(text, &r); err != nil {
		return Spec{}, fmt.Errorf("read %s: %w", resultFile, err)
	}
	return r.Spec, nil
}

func writeHistory(path string, events []history.Event) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(history.WriteTo(f, events), f.Close())
}
