package config

import "log/slog"

// SlogLevel is Level as slog has it; one that is unknown is info.
func (cfg Log) SlogLevel() slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(cfg.Level)); err != nil {
		return slog.LevelInfo
	}
	return l
}
