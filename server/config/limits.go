package config

// completeLimits sets the limits whose defaults depend on others.
func (c *collector) completeLimits(cfg *Config) {
	l := &cfg.Limits
	switch n := l.RoomsPerConnection; {
	case c.isSet("limits.rooms_per_user"):
	case n == 0:
		l.RoomsPerUser = 0
	default: // what one connection may have is no surprise
		l.RoomsPerUser = max(l.RoomsPerUser, n)
	}
}
