package faultfs

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A process of its own commits: the power cut needs one to kill. It could not live in
// this process in any case, because it reads through mapped memory: a fault in there
// stops the runtime of Go, which then can't answer it.
const (
	boltVariable   = "FAULTFS_BOLT"
	noSyncVariable = "FAULTFS_NO_SYNC"
)

var bucket = []byte("b")

// commitForEver says what it finds, "found N", and then each commit.
func commitForEver(path string) error {
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: os.Getenv(noSyncVariable) != "", NoFreelistSync: true, Timeout: time.Second})
	if err != nil {
		return err
	}
	var n uint64
	if err := db.View(func(tx *bolt.Tx) (err error) {
		n, err = check(tx)
		return err
	}); err != nil {
		return err
	}
	fmt.Println("found", n)
	for {
		n++
		if err := db.Update(func(tx *bolt.Tx) error { return step(tx, n) }); err != nil {
			return err
		}
		fmt.Println("committed", n)
	}
}

// step writes the n-th value over one of a hundred, so that pages are used again.
func step(tx *bolt.Tx, n uint64) error {
	b, err := tx.CreateBucketIfNotExists(bucket)
	if err != nil {
		return err
	}
	value := binary.BigEndian.AppendUint64(nil, n)
	for range rand.IntN(2000) {
		value = append(value, byte(n))
	}
	value = binary.BigEndian.AppendUint32(value, crc32.ChecksumIEEE(value))
	return b.Put(fmt.Append(nil, n%100), value)
}

// check reads everything and returns the newest.
func check(tx *bolt.Tx) (newest uint64, err error) {
	b := tx.Bucket(bucket)
	if b == nil {
		return 0, nil
	}
	var errs []error
	for err := range tx.Check() {
		errs = append(errs, err)
	}
	seen := make(map[uint64]bool)
	errs = append(errs, b.ForEach(func(k, v []byte) error {
		if end := len(v) - 4; end < 8 || binary.BigEndian.Uint32(v[end:]) != crc32.ChecksumIEEE(v[:end]) {
			return fmt.Errorf("the value of %s is damaged", k)
		}
		n := binary.BigEndian.Uint64(v)
		newest, seen[n] = max(newest, n), true
		return nil
	}))
	for n := newest; n > 0 && n+100 > newest; n-- {
		if !seen[n] {
			errs = append(errs, fmt.Errorf("of %d the %d is missing", newest, n))
		}
	}
	return newest, errors.Join(errs...)
}

func TestBolt_PowerCutsLoseNothingThatWasCommitted(t *testing.T) {
	cuts := 200
	if testing.Short() {
		cuts = 20
	}
	commits, lost := cutBolt(t, cuts, nil)
	t.Logf("%d commits, %d pages and sizes lost", commits, lost)
	if lost == 0 || commits < uint64(cuts) {
		t.Errorf("%d commits, %d pages lost: too few for this to count", commits, lost)
	}
}

// Without fsync the same cuts lose commits: the test above would see it.
func TestBolt_PowerCutsLoseWhatWasNotSynced(t *testing.T) {
	var missing error
	cutBolt(t, 20, func(err error) { missing = err })
	if missing == nil {
		t.Fatal("nothing is missing")
	}
	t.Log(missing)
}

// cutBolt goes on until something is missing.
func cutBolt(t *testing.T, cuts int, missing func(error)) (commits uint64, lost int) {
	f, dir := mounted(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var env []string
	if missing != nil {
		env = []string{noSyncVariable + "=1"}
	} else {
		missing = func(err error) { t.Fatal(err) }
	}
	for i := range cuts {
		p := startBolt(t, filepath.Join(dir, "db"), env)
		found, err := p.next("found")
		if err == nil && found < commits {
			err = fmt.Errorf("%d was committed, after the power cut %d is the newest", commits, found)
		}
		if err != nil {
			p.kill()
			missing(fmt.Errorf("cut %d: %w", i, err))
			return commits, lost
		}
		for range 1 + r.IntN(20) {
			commits, err = p.next("committed")
			must(t, err)
		}
		if last := p.kill(); last > 0 {
			commits = last
		}
		var survives *rand.Rand
		if r.IntN(3) > 0 {
			survives = r
		}
		n, err := f.CutPower(survives)
		must(t, err)
		lost += n
	}
	return commits, lost
}

type boltProcess struct {
	cmd    *exec.Cmd
	out    *bufio.Scanner
	errors *strings.Builder
}

func startBolt(t *testing.T, path string, env []string) *boltProcess {
	p := &boltProcess{cmd: exec.Command(os.Args[0]), errors: new(strings.Builder)}
	p.cmd.Env = append(append(os.Environ(), boltVariable+"="+path, "GORACE=atexit_sleep_ms=0"), env...)
	p.cmd.Stderr = p.errors
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	p.out = bufio.NewScanner(out)
	must(t, p.cmd.Start())
	return p
}

// next is the number on the next line.
func (p *boltProcess) next(what string) (uint64, error) {
	if !p.out.Scan() {
		err := p.cmd.Wait()
		return 0, fmt.Errorf("no more output: %w: %s", err, p.errors)
	}
	number, ok := strings.CutPrefix(p.out.Text(), what+" ")
	if !ok {
		return 0, fmt.Errorf("not %s, but %q", what, p.out.Text())
	}
	return strconv.ParseUint(number, 10, 64)
}

// kill returns the last commit that it told of.
func (p *boltProcess) kill() (last uint64) {
	_ = p.cmd.Process.Kill()
	for {
		n, err := p.next("committed")
		if err != nil {
			return last
		}
		last = n
	}
}
