package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	stored    = 1000 // rooms that have their positions stored
	saveEvery = time.Second
)

// Storage keeps the positions of one client across runs of the program. Save is called on a goroutine of
// its own, once a second at most and never twice at a time, and when the client ends. It may be slow:
// meanwhile the client goes on, and then saves what is newest. It may use the client, but not wait for it
// as Close does, since the end of the client waits for it.
type Storage interface {
	Load() ([]byte, error) // nil if there is nothing
	Save([]byte) error
}

// FileStorage keeps positions in a file, which it replaces as a whole.
func FileStorage(path string) Storage { return file(path) }

type file string

// Load returns what the file has. There may be none.
func (f file) Load() ([]byte, error) {
	b, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// Save replaces the file.
func (f file) Save(b []byte) error {
	next, err := os.CreateTemp(filepath.Dir(string(f)), filepath.Base(string(f))+".*")
	if err != nil {
		return err
	}
	_, err = next.Write(b)
	if err = errors.Join(err, next.Close()); err == nil {
		err = os.Rename(next.Name(), string(f))
	}
	if err != nil {
		_ = os.Remove(next.Name()) // the first error is told
	}
	return err
}

// store is what an earlier run left and this one has not asked for yet, and what is to be saved. Tape.mu protects it.
type store struct {
	left    ordered[Positions]
	unsaved []byte // the newest; nil: it is saved, or being saved
	saving  bool   // saveAll runs
	told    bool   // that there are too many
}

// place is where one room stood.
type place struct {
	Room      string    `json:"room"`
	Positions Positions `json:"positions"`
}

func (s *store) read(from Storage) error {
	if from == nil {
		return nil
	}
	b, err := from.Load()
	if err != nil || len(b) == 0 {
		return err
	}
	var all []place
	if err := json.Unmarshal(b, &all); err != nil {
		return fmt.Errorf("what was stored is not ours: %w", err)
	}
	for _, p := range all {
		if p.Positions.sound() {
			s.left.put(p.Room, p.Positions)
		}
	}
	return nil
}

// take returns where the room stood, once.
func (s *store) take(room string) (Positions, bool) {
	at, ok := s.left.get(room)
	s.left.delete(room)
	return at, ok
}

// positions returns where rooms stand, as it is stored. Those with a snapshot begin with it in each run, and
// those with state of their own with that. What matters most is first: wildcards and rooms that are named, then
// rooms of wildcards, then what this run has not asked for. more is how many of the rooms find no place.
func (s *store) positions(rooms *ordered[*Room]) (b []byte, more int, err error) {
	var wilds, named, others []place
	for _, m := range rooms.all() {
		one := place{m.name, m.at}
		switch {
		case m.at.Epoch == "" || m.keyed || m.of().options.load != nil:
		case isWild(m.name):
			wilds = append(wilds, one)
		case m.wanted:
			named = append(named, one)
		default:
			others = append(others, one)
		}
	}
	all := slices.Concat(wilds, named, others)
	more = max(0, len(all)-stored)
	for room, at := range s.left.all() {
		all = append(all, place{room, at})
	}
	b, err = json.Marshal(all[:min(len(all), stored)])
	return b, more, err
}

// save has the storage take where rooms stand. If it is still busy, it takes that after what it has.
func (t *Tape) save() {
	if t.options.storage == nil {
		return
	}
	j := &t.joins
	t.timers.stop(j.saver)
	j.saver = nil
	b, more, err := j.store.positions(&j.members)
	if err != nil {
		t.fail(failure(0, "cannot store positions: %v", err), "")
		return
	}
	if more > 0 && !j.store.told {
		j.store.told = true
		t.fail(failure(0, "cannot store positions: those of %d rooms are too many: %d rooms are stored",
			more, stored), "")
	}
	if j.store.unsaved = b; !j.store.saving {
		j.store.saving = true
		t.running++
		t.saves.Go(t.saveAll)
	}
}

func (t *Tape) saveSoon() {
	if t.options.storage == nil || t.joins.saver != nil || t.link.state == Closed {
		return
	}
	t.joins.saver = t.timers.add(t.options.now().Add(saveEvery), t.save)
}

// saveAll saves until nothing newer is there. No lock is held while the storage works.
func (t *Tape) saveAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &t.joins.store
	for s.unsaved != nil {
		b := s.unsaved
		s.unsaved = nil
		t.mu.Unlock()
		err := t.options.storage.Save(b)
		t.mu.Lock()
		if err != nil {
			t.fail(failure(0, "cannot store positions: %v", err), "")
			t.kicked()
		}
	}
	s.saving = false
	t.running--
}
