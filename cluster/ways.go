package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
)

// Resolver looks names up; *net.Resolver is one. Its calls honour their contexts.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, addrs []*net.SRV, err error)
}

func orSystem(r Resolver) Resolver {
	if r == nil {
		return net.DefaultResolver
	}
	return r
}

const (
	lookupsAtOnce = 16
	maxPerName    = 64       // addresses of one name, targets of one service
	maxSeedFile   = 64 << 10 // bytes
)

// SeedWay takes a seed apart: "srv:NAME" is ("srv", NAME), "file:PATH" is ("file",
// PATH), anything else a HOST:PORT and ("", seed). A number after the colon is a
// port: hosts may be called srv and file too.
func SeedWay(seed string) (way, rest string) {
	way, rest, ok := strings.Cut(seed, ":")
	if ok && (way == "srv" || way == "file") {
		if _, err := strconv.ParseUint(rest, 10, 16); err != nil {
			return way, rest
		}
	}
	return "", seed
}

// CheckSeed says what is wrong with an entry of Options.Seeds.
func CheckSeed(seed string) error {
	switch way, rest := SeedWay(seed); way {
	case "srv":
		return validService(rest)
	case "file":
		return validPath(rest)
	default:
		return validAddr(rest)
	}
}

func validService(name string) error {
	switch {
	case name == "" || len(name) > maxHostLength || strings.ContainsFunc(name, notInHost):
		return fmt.Errorf("srv:%s: no usable name; give srv:NAME, as in srv:_raft._tcp.servers.example", short(name))
	case strings.Contains(name, ":"):
		return fmt.Errorf("srv:%s: give only the name; the ports are in its SRV records", short(name))
	}
	return nil
}

func validPath(path string) error {
	if path == "" || strings.ContainsRune(path, 0) {
		return errors.New("file: no usable path; give file:PATH, of a file with one host:port in a line")
	}
	return nil
}

// lookups turns names into addresses.
type lookups struct{ resolver Resolver }

// resolve gives the IP:PORTs of HOST:PORTs, several at once. What could be found is
// found, whatever is wrong with the rest.
func (l lookups) resolve(ctx context.Context, names []string) ([]string, error) {
	type answer struct {
		addrs []string
		err   error
	}
	answers := make([]answer, len(names))
	slots := make(chan struct{}, lookupsAtOnce)
	var group sync.WaitGroup
	for i, name := range names {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			answers[i].addrs, answers[i].err = l.resolveOne(ctx, name)
		})
	}
	group.Wait()
	var addrs []string
	var bad problems
	for _, a := range answers {
		addrs = append(addrs, a.addrs...)
		bad.add(a.err)
	}
	return addrs, bad.err()
}

func (l lookups) resolveOne(ctx context.Context, name string) ([]string, error) {
	if err := validAddr(name); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(name)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []string{netip.AddrPortFrom(ip.Unmap(), uint16(n)).String()}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	ips, err := l.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var addrs []string
	for _, ip := range sample(ips, maxPerName) {
		addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), uint16(n)).String())
	}
	return addrs, nil
}

// service gives the addresses of all targets of a name's SRV records, whatever
// their priorities: these are not alternatives.
func (l lookups) service(ctx context.Context, name string) ([]string, error) {
	lctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	_, records, err := l.resolver.LookupSRV(lctx, "", "", name)
	cancel()
	if len(records) == 0 {
		return nil, err // with some, it is only about malformed ones beside them
	}
	var targets []string
	for _, r := range records {
		if host := strings.TrimSuffix(r.Target, "."); host != "" { // a lone dot is "no such service"
			targets = append(targets, net.JoinHostPort(host, strconv.Itoa(int(r.Port))))
		}
	}
	addrs, rerr := l.resolve(ctx, sample(targets, maxPerName))
	return addrs, errors.Join(err, rerr)
}

// file gives the addresses that a file lists: HOST:PORTs separated by white space
// or commas, comments from # to the end of the line.
func (l lookups) file(ctx context.Context, path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSeedFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxSeedFile {
		return nil, fmt.Errorf("%s has more than %d bytes; is it the right file?", path, maxSeedFile)
	}
	names, bad := parseSeedFile(string(text))
	addrs, err := l.resolve(ctx, sample(names, maxFound))
	bad.add(err)
	return addrs, bad.err()
}

func parseSeedFile(text string) (names []string, bad problems) {
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		for _, name := range strings.FieldsFunc(line, func(r rune) bool { return r == ',' || r <= ' ' }) {
			if err := validAddr(name); err != nil {
				bad.add(fmt.Errorf("line %d: %w", i+1, err))
				continue
			}
			names = append(names, name)
		}
	}
	return names, bad
}

// callback gives what the host's own function finds. Its strings are anybody's.
func (l lookups) callback(ctx context.Context, discover func(context.Context) ([]string, error)) ([]string, error) {
	names, err := discover(ctx)
	var bad problems
	bad.add(err)
	addrs, err := l.resolve(ctx, sample(names, maxFound))
	bad.add(err)
	return addrs, bad.err()
}

// problems keeps one error in words, rather not one that only says that nobody is
// there, and counts the others.
type problems struct {
	first error
	more  int
}

func (p *problems) add(err error) {
	switch {
	case err == nil:
	case p.first == nil:
		p.first = err
	case nobodyThere(p.first) && !nobodyThere(err):
		p.first = err
		p.more++
	default:
		p.more++
	}
}

func (p *problems) err() error {
	if p.first != nil && p.more > 0 {
		return fmt.Errorf("%w (and %d more)", p.first, p.more)
	}
	return p.first
}

// nobodyThere: DNS has answered that it knows no such name, or none yet.
func nobodyThere(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}
