package nodetest_test

import (
	"context"
	"errors"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/internal/mapstore"
	"github.com/pofresh/globalchannel/node/nodetest"
)

func TestChannelManager_OfASoundManager(t *testing.T) {
	nodetest.TestChannelManager(t, func(testing.TB) node.ChannelManager { return new(mapstore.Store) })
}

// withoutPurge has the six calls only.
type withoutPurge struct{ node.ChannelManager }

func TestChannelManager_OfAManagerWithoutPurgeSID(t *testing.T) {
	if got := nodetest.Broken(t.Context(), func() node.ChannelManager { return withoutPurge{new(mapstore.Store)} }); len(got) > 0 {
		t.Error(got)
	}
}

// rewritten is a manager that knows texts by another text.
type rewritten struct {
	mapstore.Store
	name, uid, sid func(string) string
}

func rewriting(f func(string) string) *rewritten { return &rewritten{name: f, uid: f, sid: f} }

func (m *rewritten) Add(ctx context.Context, name, uid, sid string) error {
	return m.Store.Add(ctx, m.name(name), m.uid(uid), m.sid(sid))
}

func (m *rewritten) Leave(ctx context.Context, name, uid, sid string) error {
	return m.Store.Leave(ctx, m.name(name), m.uid(uid), m.sid(sid))
}

func (m *rewritten) MembersBySID(ctx context.Context, name, sid string) ([]string, error) {
	return m.Store.MembersBySID(ctx, m.name(name), m.sid(sid))
}

func (m *rewritten) DestroyChannel(ctx context.Context, name string) error {
	return m.Store.DestroyChannel(ctx, m.name(name))
}

func (m *rewritten) PurgeSID(ctx context.Context, sid string) error {
	return m.Store.PurgeSID(ctx, m.sid(sid))
}

func same(text string) string { return text }

// lists is the manager that somebody writes first: a list for each key.
type lists struct {
	mu      sync.Mutex // guards members
	members map[string][]string

	key      func(name, sid string) string
	twice    bool // a second Add puts the uid in again
	shared   bool // answers are the list itself
	racing   bool // reads, and writes a moment later what it has read
	onlyNew  bool // a Leave of who is not there is an error
	noEmpty  bool // a question about nobody is an error
	atMost   int  // of an answer
	oneSID   bool // only the first server's members go with the channel
	left     bool // Clean leaves one channel
	patterns bool // the name to be destroyed is a pattern
	forgets  bool // PurgeSID leaves all as it is
	noNew    bool // a channel that was destroyed stays so
	dead     map[string]bool
}

func newLists(change func(*lists)) *lists {
	m := &lists{members: make(map[string][]string), dead: make(map[string]bool), key: func(name, sid string) string { return name + "\x00" + sid }}
	change(m)
	return m
}

func (m *lists) Start(context.Context) error { return nil }
func (m *lists) Stop(context.Context) error  { return nil }

// update changes one list.
func (m *lists) update(key string, f func([]string) []string) {
	m.mu.Lock()
	list := m.members[key]
	if m.racing {
		m.mu.Unlock()
		list = slices.Clone(list)
		runtime.Gosched()
		m.mu.Lock()
	}
	if !m.shared {
		list = slices.Clone(list)
	}
	m.members[key] = f(list)
	m.mu.Unlock()
}

func (m *lists) Add(_ context.Context, name, uid, sid string) error {
	m.mu.Lock()
	dead := m.dead[name]
	m.mu.Unlock()
	if dead {
		return nil
	}
	m.update(m.key(name, sid), func(list []string) []string {
		if !m.twice && slices.Contains(list, uid) {
			return list
		}
		return append(list, uid)
	})
	return nil
}

func (m *lists) Leave(_ context.Context, name, uid, sid string) (err error) {
	m.update(m.key(name, sid), func(list []string) []string {
		at := slices.Index(list, uid)
		if at < 0 {
			if m.onlyNew {
				err = errors.New("no such member")
			}
			return list
		}
		return slices.Delete(list, at, at+1)
	})
	return err
}

func (m *lists) MembersBySID(_ context.Context, name, sid string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.members[m.key(name, sid)]
	if m.noEmpty && len(list) == 0 {
		return nil, errors.New("no such channel")
	}
	if m.atMost > 0 {
		list = list[:min(m.atMost, len(list))]
	}
	if m.shared {
		return list, nil
	}
	return slices.Clone(list), nil
}

func (m *lists) remove(most int, which func(name, sid string) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.members {
		name, sid, _ := strings.Cut(key, "\x00")
		if most != 0 && which(name, sid) {
			delete(m.members, key)
			most--
		}
	}
}

func (m *lists) DestroyChannel(_ context.Context, name string) error {
	most := -1
	if m.oneSID {
		most = 1
	}
	m.remove(most, func(n, _ string) bool {
		if m.patterns {
			match, _ := path.Match(name, n)
			return match
		}
		return n == name
	})
	if m.noNew {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.dead[name] = true
	}
	return nil
}

func (m *lists) Clean(context.Context) error {
	m.remove(-1, func(name, _ string) bool { return !m.left || name != "world" })
	return nil
}

func (m *lists) PurgeSID(_ context.Context, sid string) error {
	if !m.forgets {
		m.remove(-1, func(_, s string) bool { return s == sid })
	}
	return nil
}

// hanging waits for what never comes, once its context has ended.
type hanging struct {
	mapstore.Store
	release <-chan struct{}
}

func (m *hanging) MembersBySID(ctx context.Context, name, sid string) ([]string, error) {
	if ctx.Err() != nil {
		<-m.release
	}
	return m.Store.MembersBySID(ctx, name, sid)
}

// liar does nothing for a context that has ended, and says that it has.
type liar struct{ mapstore.Store }

func (m *liar) Add(ctx context.Context, name, uid, sid string) error {
	if ctx.Err() != nil {
		return nil
	}
	return m.Store.Add(ctx, name, uid, sid)
}

// stopless cannot be stopped.
type stopless struct{ mapstore.Store }

func (*stopless) Stop(context.Context) error { return errors.New("in use") }

// prefixed purges all sids that begin alike.
type prefixed struct{ *lists }

func (m prefixed) PurgeSID(_ context.Context, sid string) error {
	m.remove(-1, func(_, s string) bool { return strings.HasPrefix(s, sid) })
	return nil
}

// The suite is worth what it finds.
func TestChannelManager_FindsWhatIsBroken(t *testing.T) {
	list := func(change func(*lists)) func() node.ChannelManager {
		return func() node.ChannelManager { return newLists(change) }
	}
	text := func(f func(string) string) func() node.ChannelManager {
		return func() node.ChannelManager { return rewriting(f) }
	}
	if got := nodetest.Broken(t.Context(), list(func(*lists) {})); len(got) > 0 {
		t.Errorf("lists are not broken by themselves: %v", got)
	}
	if got := nodetest.Broken(t.Context(), text(same)); len(got) > 0 {
		t.Errorf("nor are texts: %v", got)
	}
	release := make(chan struct{})
	tests := map[string]struct {
		manager func() node.ChannelManager
		by      string
	}{
		"adds twice":                       {list(func(m *lists) { m.twice = true }), "AddIsIdempotent"},
		"fails to remove who is not there": {list(func(m *lists) { m.onlyNew = true }), "LeaveIsIdempotent"},
		"fails for a channel of nobody":    {list(func(m *lists) { m.noEmpty = true }), "UnknownIsEmpty"},
		"has one list for all servers":     {list(func(m *lists) { m.key = func(name, _ string) string { return name + "\x00" } }), "UIDOnSeveralSIDs"},
		"destroys on one server only":      {list(func(m *lists) { m.oneSID = true }), "DestroyChannel"},
		"destroys for good":                {list(func(m *lists) { m.noNew = true }), "DestroyChannel"},
		"takes a name for a pattern":       {list(func(m *lists) { m.patterns = true }), "DestroyChannel"},
		"does not clean all":               {list(func(m *lists) { m.left = true }), "Clean"},
		"joins name and sid":               {list(func(m *lists) { m.key = func(name, sid string) string { return name + ":" + sid + "\x00" } }), "TextsAreKeptApart"},
		"folds case":                       {text(strings.ToLower), "TextsAreKeptApart"},
		"trims":                            {text(strings.TrimSpace), "TextsAreKeptApart"},
		"normalizes":                       {text(composed), "TextsAreKeptApart"},
		"cuts uids":                        {func() node.ChannelManager { return &rewritten{name: same, uid: cutAt(128), sid: same} }, "TextsAtTheLimits"},
		"cuts names":                       {func() node.ChannelManager { return &rewritten{name: cutAt(254), uid: same, sid: same} }, "TextsAtTheLimits"},
		"cuts sids":                        {func() node.ChannelManager { return &rewritten{name: same, uid: same, sid: cutAt(63)} }, "TextsAtTheLimits"},
		"gives the first page":             {list(func(m *lists) { m.atMost = 1000 }), "ManyMembers"},
		"gives away its own list":          {list(func(m *lists) { m.shared = true }), "AnswersBelongToTheCaller"},
		"loses updates":                    {list(func(m *lists) { m.racing = true }), "ConcurrentUse"},
		"hangs once the context has ended": {func() node.ChannelManager { return &hanging{release: release} }, "EndedContext"},
		"lies once the context has ended":  {func() node.ChannelManager { return new(liar) }, "EndedContext"},
		"purges nobody":                    {list(func(m *lists) { m.forgets = true }), "PurgeSID"},
		"purges sids that begin alike":     {func() node.ChannelManager { return prefixed{newLists(func(*lists) {})} }, "PurgeSID"},
		"cannot be stopped":                {func() node.ChannelManager { return new(stopless) }, "AddIsIdempotent"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // who hangs does so for no time
				release = make(chan struct{})
				broken := nodetest.Broken(t.Context(), c.manager, c.by)
				close(release)
				if broken[c.by] == nil {
					t.Fatalf("%s does not find it", c.by)
				}
				t.Log(broken[c.by])
			})
		})
	}
}

func composed(text string) string { return strings.ReplaceAll(text, "e\u0301", "\u00e9") }

func cutAt(n int) func(string) string {
	return func(text string) string { return text[:min(n, len(text))] }
}
