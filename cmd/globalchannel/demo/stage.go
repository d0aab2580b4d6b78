package demo

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pofresh/globalchannel/transport/ports"
)

// stage is what the servers share: a folder, a secret in it, and addresses that
// stay theirs over a restart.
type stage struct {
	dir        string
	secretFile string
	secret     []byte
	addrs      []string
}

func newStage(servers int) (_ *stage, err error) {
	dir, err := os.MkdirTemp("", "gc-demo-") // 0700
	if err != nil {
		return nil, fmt.Errorf("make folder of the demo: %w", err)
	}
	s := &stage{dir: dir, secretFile: filepath.Join(dir, "secret")}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.remove())
		}
	}()
	raw := make([]byte, 16)
	if _, err := rand.Read(raw); err != nil {
		return nil, fmt.Errorf("make secret: %w", err)
	}
	s.secret = []byte(hex.EncodeToString(raw))
	if err := os.WriteFile(s.secretFile, s.secret, 0o600); err != nil {
		return nil, fmt.Errorf("write secret: %w", err)
	}
	s.addrs, err = ports.Free(servers)
	return s, err
}

func (s *stage) dataDir(sid string) string { return filepath.Join(s.dir, sid) }
func (s *stage) logFile(sid string) string { return filepath.Join(s.dir, sid+".log") }
func (s *stage) remove() error             { return os.RemoveAll(s.dir) }
