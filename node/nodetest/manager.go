package nodetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
)

// TestChannelManager checks that a user's own store is what a node needs of it, in one
// subtest for each promise. newManager gives each of them a manager over an empty store
// that nobody else writes to, not started; it may fail, skip, and have its t clean up.
// The suite calls Start first and Stop last, as a node does. Run it with -race, and over
// the real thing:
//
//	func TestManager(t *testing.T) {
//		nodetest.TestChannelManager(t, func(t testing.TB) node.ChannelManager {
//			return redischannels.New(addr, redischannels.Prefix(t.Name()))
//		})
//	}
//
// It adds a few thousand members in all.
func TestChannelManager(t *testing.T, newManager func(t testing.TB) node.ChannelManager) {
	t.Helper()
	for _, c := range managerChecks {
		t.Run(c.name, func(t *testing.T) {
			err := runCheck(t.Context(), newManager(t), c.check)
			switch {
			case errors.Is(err, errNoPurger):
				t.Skip(err)
			case err != nil:
				t.Error(err)
			}
		})
	}
}

const (
	checkTime  = time.Minute      // of one check
	returnTime = 10 * time.Second // within which a call whose context has ended must return
	manyUIDs   = 2500             // more than stores give at a time
	fewCallers = 16
)

// errNoPurger is of a check that has nothing to check.
var errNoPurger = errors.New("the manager has no PurgeSID")

// managerCheck is one promise of a manager. It is a function that returns an error, so
// that the suite's own tests see which broken managers it finds.
type managerCheck struct {
	name  string
	check func(*checked) error
}

var managerChecks = []managerCheck{
	{"AddIsIdempotent", (*checked).addIsIdempotent},
	{"LeaveIsIdempotent", (*checked).leaveIsIdempotent},
	{"UnknownIsEmpty", (*checked).unknownIsEmpty},
	{"UIDOnSeveralSIDs", (*checked).uidOnSeveralSIDs},
	{"DestroyChannel", (*checked).destroyChannel},
	{"Clean", (*checked).clean},
	{"TextsAreKeptApart", (*checked).textsAreKeptApart},
	{"TextsAtTheLimits", (*checked).textsAtTheLimits},
	{"ManyMembers", (*checked).manyMembers},
	{"AnswersBelongToTheCaller", (*checked).answersBelongToTheCaller},
	{"ConcurrentUse", (*checked).concurrentUse},
	{"EndedContext", (*checked).endedContext},
	{"PurgeSID", (*checked).purgeSID},
}

func runCheck(ctx context.Context, m node.ChannelManager, check func(*checked) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	if err := m.Start(ctx); err != nil {
		return fmt.Errorf("call of Start: %w", err)
	}
	defer func() {
		if stop := m.Stop(ctx); stop != nil {
			err = errors.Join(err, fmt.Errorf("call of Stop: %w", stop))
		}
	}()
	return check(&checked{m, ctx})
}

// checked is a manager during a check.
type checked struct {
	node.ChannelManager
	ctx context.Context
}

// step is one call, and what to say if it fails.
type step struct {
	says string
	err  error
}

func (c *checked) add(name, uid, sid string) step {
	return step{fmt.Sprintf("Add(%q, %q, %q)", name, uid, sid), c.Add(c.ctx, name, uid, sid)}
}

func (c *checked) leave(name, uid, sid string) step {
	return step{fmt.Sprintf("Leave(%q, %q, %q)", name, uid, sid), c.Leave(c.ctx, name, uid, sid)}
}

func (c *checked) destroy(name string) step {
	return step{fmt.Sprintf("DestroyChannel(%q)", name), c.DestroyChannel(c.ctx, name)}
}

func (c *checked) cleaned() step { return step{"Clean()", c.Clean(c.ctx)} }

// has is that MembersBySID gives these, each once.
func (c *checked) has(name, sid string, want ...string) step {
	says := fmt.Sprintf("MembersBySID(%q, %q)", name, sid)
	got, err := c.MembersBySID(c.ctx, name, sid)
	if err != nil {
		return step{says, err}
	}
	lacks, besides := unpaired(want, got), unpaired(got, want)
	if len(lacks) > 0 || len(besides) > 0 {
		err = fmt.Errorf("lacks %s and has %s besides, want %s", listed(lacks), listed(besides), listed(want))
	}
	return step{says, err}
}

// unpaired are those of list that have no counterpart in other, one each.
func unpaired(list, other []string) (rest []string) {
	counts := make(map[string]int, len(other))
	for _, text := range other {
		counts[text]++
	}
	for _, text := range list {
		if counts[text]--; counts[text] < 0 {
			rest = append(rest, text)
		}
	}
	slices.Sort(rest)
	return rest
}

// listed spares the reader thousands of names.
func listed(uids []string) string {
	const most = 8
	if len(uids) <= most {
		return fmt.Sprintf("%+q", uids)
	}
	return fmt.Sprintf("%d (%+q...)", len(uids), uids[:most])
}

// first is the first step that failed.
func first(steps ...step) error {
	for _, s := range steps {
		if s.err != nil {
			return fmt.Errorf("%s: %w", s.says, s.err)
		}
	}
	return nil
}

func (c *checked) addIsIdempotent() error {
	return first(
		c.add("guild", "alice", "s1"), c.has("guild", "s1", "alice"),
		c.add("guild", "alice", "s1"), c.has("guild", "s1", "alice"),
		c.add("guild", "bob", "s1"), c.has("guild", "s1", "alice", "bob"),
		// Twice added is not twice in.
		c.leave("guild", "alice", "s1"), c.has("guild", "s1", "bob"),
		c.add("guild", "alice", "s1"), c.has("guild", "s1", "alice", "bob"),
	)
}

func (c *checked) leaveIsIdempotent() error {
	return first(
		c.leave("nowhere", "alice", "s1"),
		c.add("guild", "alice", "s1"), c.add("guild", "bob", "s1"),
		c.leave("guild", "nobody", "s1"), c.leave("guild", "alice", "s2"), c.leave("other", "alice", "s1"),
		c.has("guild", "s1", "alice", "bob"),
		c.leave("guild", "alice", "s1"), c.leave("guild", "alice", "s1"), c.has("guild", "s1", "bob"),
		c.leave("guild", "bob", "s1"), c.leave("guild", "bob", "s1"), c.has("guild", "s1"),
	)
}

func (c *checked) unknownIsEmpty() error {
	return first(
		c.has("nowhere", "s1"),
		c.add("guild", "alice", "s1"), c.has("guild", "s2"), c.has("other", "s1"),
		c.leave("guild", "alice", "s1"), c.has("guild", "s1"),
	)
}

func (c *checked) uidOnSeveralSIDs() error {
	return first(
		c.add("guild", "alice", "s1"), c.add("guild", "alice", "s2"), c.add("world", "alice", "s1"),
		c.has("guild", "s1", "alice"), c.has("guild", "s2", "alice"), c.has("world", "s1", "alice"), c.has("world", "s2"),
		c.leave("guild", "alice", "s1"),
		c.has("guild", "s1"), c.has("guild", "s2", "alice"), c.has("world", "s1", "alice"),
	)
}

func (c *checked) destroyChannel() error {
	return first(
		c.destroy("nowhere"),
		c.add("guild", "alice", "s1"), c.add("guild", "bob", "s1"), c.add("guild", "alice", "s2"), c.add("guild", "carol", "s3"),
		c.add("guild:7", "alice", "s1"), c.add("guil", "alice", "s1"),
		c.destroy("guild"), c.has("guild", "s1"), c.has("guild", "s2"), c.has("guild", "s3"),
		c.has("guild:7", "s1", "alice"), c.has("guil", "s1", "alice"),
		c.destroy("guild"),
		c.add("guild", "bob", "s2"), c.has("guild", "s1"), c.has("guild", "s2", "bob"),
		// Names are names, not patterns.
		c.destroy("g*"), c.destroy("gui?"), c.destroy("%"), c.destroy("guild:[0-9]"), c.destroy(".*"),
		c.has("guild", "s2", "bob"), c.has("guild:7", "s1", "alice"), c.has("guil", "s1", "alice"),
	)
}

func (c *checked) clean() error {
	return first(
		c.cleaned(),
		c.add("guild", "alice", "s1"), c.add("guild", "bob", "s2"), c.add("world", "alice", "s3"),
		c.cleaned(),
		c.has("guild", "s1"), c.has("guild", "s2"), c.has("world", "s3"),
		c.cleaned(),
		c.add("guild", "bob", "s1"), c.has("guild", "s1", "bob"), c.has("guild", "s2"),
	)
}

// oddTexts are different ones, and all allowed. Each is alike to another in the eyes of
// something that folds case or width, trims, joins with a separator, matches patterns,
// reads numbers, or normalizes.
func oddTexts() []string {
	texts := []string{
		"a", "A", "aa", " a", "a ", "a\t", "a\n", "a\r\n", "\ufeffa", "a\u200b",
		"7", "07", "7.0", "7e0", "+7", "0x7", "-0", "null", "nil", "true", "NaN",
		"é", "e\u0301", "ﬁ", "fi", "ß", "ss", "ı", "i", "I", "İ", "Ａ", "日本", "😀", "👩\u200d👩\u200d👧", "\u202ea", "\ufffd", "\U0010ffff",
		"\x01", "\x7f", "'", "\"", "`", "\\", "\\\\", "\\n", "%", "%25", "%00", "_", "*", "?", "[a]", "{a}", "$", "^", "a'; --", "../a", "/",
	}
	for _, sep := range []string{":", "/", "|", ",", ";", ".", "-", "#", "@", " ", "\t", "\n", "\x1f", "\u0001"} {
		texts = append(texts, "a"+sep+"b", "a"+sep, sep+"b", sep+sep)
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}

func (c *checked) textsAreKeptApart() error {
	texts := oddTexts()
	// As uids they are different members, as sids and names different places.
	for _, text := range texts {
		if err := first(c.add("guild", text, "s1"), c.add("guild", "in "+text, text), c.add(text, "of "+text, "s2")); err != nil {
			return err
		}
	}
	if err := first(c.has("guild", "s1", texts...)); err != nil {
		return fmt.Errorf("as uids: %w", err)
	}
	for _, text := range texts {
		if err := first(c.has("guild", text, "in "+text)); err != nil {
			return fmt.Errorf("as sids: %w", err)
		}
		if err := first(c.has(text, "s2", "of "+text)); err != nil {
			return fmt.Errorf("as names: %w", err)
		}
	}
	// A separator within one text must not make it another pair.
	for _, sep := range []string{":", "/", "|", ",", ";", ".", "-", "#", "@", " ", "\t", "\n", "\x1f", "\x01"} {
		err := first(
			c.add("x"+sep+"y", "alice", "z"), c.has("x", "y"+sep+"z"),
			c.add("x", "bob", "y"+sep+"z"), c.has("x"+sep+"y", "z", "alice"), c.has("x", "y"+sep+"z", "bob"),
			c.destroy("x"), c.has("x"+sep+"y", "z", "alice"), c.has("x", "y"+sep+"z"),
		)
		if err != nil {
			return fmt.Errorf("separator %q: %w", sep, err)
		}
	}
	for _, text := range texts {
		if err := first(c.leave("guild", text, "s1"), c.destroy(text), c.has(text, "s2")); err != nil {
			return err
		}
	}
	return first(c.has("guild", "s1"))
}

func (c *checked) textsAtTheLimits() error {
	const maxName, maxSID = 255, 64
	for _, unit := range []string{"x", "é", "日", "😀"} {
		fill := func(limit int, last string) string {
			text := strings.Repeat(unit, (limit-1)/len(unit))
			return text + strings.Repeat("x", limit-1-len(text)) + last
		}
		one, two := fill(maxName, "1"), fill(maxName, "2")
		here, there := fill(maxSID, "1"), fill(maxSID, "2")
		err := first(
			c.add(one, one, here), c.add(one, two, here), c.add(one, one, there), c.add(two, two, here),
			c.has(one, here, one, two), c.has(one, there, one), c.has(two, here, two), c.has(two, there),
			c.leave(one, two, here), c.has(one, here, one),
			c.destroy(one), c.has(one, here), c.has(one, there), c.has(two, here, two),
		)
		if err != nil {
			return fmt.Errorf("of %d bytes, sids of %d: %w", maxName, maxSID, err)
		}
	}
	return nil
}

func (c *checked) manyMembers() error {
	uids := make([]string, manyUIDs)
	for i := range uids {
		uids[i] = "player-" + strconv.Itoa(i)
	}
	err := c.atOnce(fewCallers, func(caller int) error {
		for i := caller; i < len(uids); i += fewCallers {
			if err := first(c.add("world", uids[i], "s1")); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return first(c.has("world", "s1", uids...), c.destroy("world"), c.has("world", "s1"))
}

// atOnce runs callers side by side.
func (c *checked) atOnce(callers int, f func(caller int) error) error {
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c *checked) answersBelongToTheCaller() error {
	if err := first(c.add("guild", "alice", "s1"), c.add("guild", "bob", "s1")); err != nil {
		return err
	}
	kept, err := c.MembersBySID(c.ctx, "guild", "s1")
	if err != nil {
		return err
	}
	changed, err := c.MembersBySID(c.ctx, "guild", "s1")
	if err != nil {
		return err
	}
	for i := range changed {
		changed[i] = "mallory"
	}
	_ = append(changed, "mallory")
	if err := first(c.has("guild", "s1", "alice", "bob")); err != nil {
		return fmt.Errorf("after an answer was changed: %w", err)
	}
	if err := first(c.leave("guild", "alice", "s1"), c.add("guild", "carol", "s1"), c.destroy("guild")); err != nil {
		return err
	}
	slices.Sort(kept)
	if want := []string{"alice", "bob"}; !slices.Equal(kept, want) {
		return fmt.Errorf("an answer was %q, and is %q after others have written", want, kept)
	}
	return nil
}

func (c *checked) concurrentUse() error {
	const rounds, joint = 40, 4
	err := c.atOnce(fewCallers, func(caller int) error {
		own, sid := fmt.Sprintf("player-%d", caller), fmt.Sprintf("s%d", caller%joint)
		for i := range rounds {
			name := fmt.Sprintf("round-%d", i%joint)
			// One member is everybody's, one is its caller's.
			err := first(
				c.add("all", "everybody", sid), c.add(name, own, sid), c.add("stays", fmt.Sprint(own, "-", i), sid),
				c.leave(name, own, sid), c.destroy(own), c.leave("all", own, sid),
			)
			if err != nil {
				return err
			}
			if got, err := c.MembersBySID(c.ctx, name, sid); err != nil || slices.Contains(got, own) {
				return fmt.Errorf("MembersBySID(%q, %q) has %q, which has left: %q, %v", name, sid, own, got, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for s := range joint {
		sid := fmt.Sprintf("s%d", s)
		var want []string
		for caller := s; caller < fewCallers; caller += joint {
			for i := range rounds {
				want = append(want, fmt.Sprintf("player-%d-%d", caller, i))
			}
		}
		steps := []step{c.has("all", sid, "everybody"), c.has("stays", sid, want...)}
		for i := range joint {
			steps = append(steps, c.has(fmt.Sprintf("round-%d", i), sid))
		}
		if err := first(steps...); err != nil {
			return fmt.Errorf("after %d callers at once: %w", fewCallers, err)
		}
	}
	return nil
}

// endedContext: a method may do its work all the same, but must not hang, and must not
// say that it has done what it has not.
func (c *checked) endedContext() error {
	if err := first(c.add("guild", "alice", "s1"), c.add("old", "alice", "s1")); err != nil {
		return err
	}
	over, cancel := context.WithCancel(c.ctx)
	cancel()
	err := c.soon("MembersBySID", func() error {
		got, err := c.MembersBySID(over, "guild", "s1")
		if err == nil && !slices.Equal(got, []string{"alice"}) {
			return fmt.Errorf("got %q and no error, want alice", got)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, w := range []struct {
		says   string
		call   func() error
		effect func() step
	}{
		{"Add", func() error { return c.Add(over, "guild", "bob", "s2") }, func() step { return c.has("guild", "s2", "bob") }},
		{"Leave", func() error { return c.Leave(over, "guild", "alice", "s1") }, func() step { return c.has("guild", "s1") }},
		{"DestroyChannel", func() error { return c.DestroyChannel(over, "old") }, func() step { return c.has("old", "s1") }},
		{"Clean", func() error { return c.Clean(over) }, func() step { return c.has("guild", "s1") }},
	} {
		err := c.soon(w.says, func() error {
			if w.call() != nil {
				return nil // it may have had its effect, or not
			}
			if err := first(w.effect()); err != nil {
				return fmt.Errorf("%s returned nil, though its context had ended, but: %w", w.says, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return first(c.add("guild", "carol", "s9"), c.has("guild", "s9", "carol"))
}

var errHangs = errors.New("has not returned, though its context has ended")

// soon gives up on a call that does not return.
func (c *checked) soon(says string, call func() error) error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	t := time.NewTimer(returnTime)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return fmt.Errorf("%s %w", says, errHangs)
	}
}

func (c *checked) purgeSID() error {
	p, ok := c.ChannelManager.(node.SIDPurger)
	if !ok {
		return errNoPurger
	}
	purge := func(sid string) step { return step{fmt.Sprintf("PurgeSID(%q)", sid), p.PurgeSID(c.ctx, sid)} }
	return first(
		purge("s1"), // of whom nobody has heard
		c.add("guild", "alice", "s1"), c.add("guild", "bob", "s1"), c.add("world", "alice", "s1"),
		c.add("guild", "alice", "s2"), c.add("world", "carol", "s10"), c.add("s1", "dave", "s2"), c.add("guild", "s1", "s2"),
		purge("s1"), c.has("guild", "s1"), c.has("world", "s1"),
		c.has("guild", "s2", "alice", "s1"), c.has("world", "s10", "carol"), c.has("s1", "s2", "dave"),
		purge("s1"),
		c.add("guild", "bob", "s1"), c.has("guild", "s1", "bob"), c.has("world", "s1"),
		// A sid is a sid, not a pattern.
		purge("s*"), purge("s?"), purge("*"), purge("%"),
		c.has("guild", "s1", "bob"), c.has("guild", "s2", "alice", "s1"), c.has("world", "s10", "carol"),
		c.destroy("guild"), purge("s1"), purge("s2"), c.has("guild", "s1"), c.has("s1", "s2"),
	)
}
