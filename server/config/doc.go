// Package config is the tree of everything that an operator may set: reading, merging and checking
// it, and what follows from it (the catalog of rooms, the routes, bounds). It opens no port and
// starts nothing. Only Config.Connect talks to brokers, for `tapecast check`.
//
// Config is the tree. Load compares the YAML file, the TAPECAST_ variables and the flags with it,
// and merges what is right through koanf: each source over the one before it, all over Default.
// Then it checks what the types do not show. Every fault has its source (line, variable or flag),
// its key and a remedy, and all faults are reported at once. A value that was refused keeps its
// default, and its consequences are not reported. The sections are in config.go, ingest.go, admin.go,
// auth.go and limits.go, their defaults in defaults.go, and the checks of a section in the check_ file
// of its name. A new key needs a field with its tag, a default, and a check if the type says too little.
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
