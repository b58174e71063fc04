package config

import "testing"

// TestRoomsPerUser: its default is no less than what one connection may have.
func TestRoomsPerUser(t *testing.T) {
	f := func(yaml string, want int) {
		t.Helper()
		if cfg, err := load(t, yaml); err != nil || cfg.Limits.RoomsPerUser != want {
			t.Errorf("%s: %d, %v, want %d", yaml, cfg.Limits.RoomsPerUser, err, want)
		}
	}
	f("limits: {}", 20_000)
	f("limits: {rooms_per_connection: 30000}", 30_000)
	f("limits: {rooms_per_connection: 0}", 0)
	f("limits: {rooms_per_connection: 0, rooms_per_user: 70}", 70)
	f("limits: {rooms_per_user: 100}", 100)
	f("limits: {rooms_per_user: 0}", 0)
}
