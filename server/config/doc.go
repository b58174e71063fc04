// Package config is the tree of all that an operator may set, and what becomes of it: reading,
// merging and checking, and what follows from it (the catalog of rooms, the routes, bounds).
// It opens no port and starts nothing; Config.Connect alone asks brokers, for `tapecast check`.
//
// Config is the tree. Load holds the YAML file, the TAPECAST_ variables and the flags
// against that tree, merges what is right through koanf (each source over the one before it,
// all over Default), and then checks what types do not show. Every fault comes with its place
// (line, variable or flag), its key and a remedy, and all of them come at once: a value that
// was refused is left at its default, and what would follow from that is not told. Where to
// look: the sections are in config.go, admin.go and ingest.go, their defaults in defaults.go,
// and a section's checks in the check_ file of its name. A new key needs a field with its tag,
// a default, and a check where the type says too little.
//
//   - Classes are merged key by key; a list replaces the list below it.
//   - A variable is the path of a key in capitals, joined by underscores. As keys hold
//     underscores themselves, names are resolved against the tree. An empty variable sets
//     nothing. A name that is nearly a key's is a fault, and any other unknown one a warning.
//     Lists of texts are separated by commas; rooms and routes are set in the file only. What
//     Kubernetes puts into the environment for a Service named tapecast is left alone.
//   - File names in the file are relative to it.
//
// A Config does not change once Load has returned it, so any goroutine may read it. A Secret
// is never printed.
package config
