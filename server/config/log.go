package config

import "log/slog"

// SlogLevel returns Level as a slog.Level. An unknown level is info.
func (cfg Log) SlogLevel() slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(cfg.Level)); err != nil {
		return slog.LevelInfo
	}
	return l
}
