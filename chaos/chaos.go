// Package chaos reads fault experiments and says precisely what is wrong with them.
//
// An experiment is a plain Chaos Mesh resource (PodChaos, NetworkChaos, PhysicalMachineChaos, …),
// the very YAML that is applied to a cluster; nothing of ours is ever added to it. A drill names
// experiments and adds what Chaos Mesh has no word for. [Load] checks a resource in four layers,
// none of which needs a cluster, because each finds what the others let pass:
//
//  1. strict decoding (decode.go): unknown kinds and fields, keys given twice;
//  2. the schema of the custom resource (schema.go): wrong types, values outside an enumeration;
//  3. the validating webhook of Chaos Mesh (webhook.go): durations, percentages, cron lines;
//  4. lints of our own (lint.go, lint_workflow.go): what all of the above accept and a cluster then
//     ignores or chokes on, such as action delay without a delay block.
//
// What remains is turned into an [experiment.Experiment], the plain form that drivers read
// (convert.go). Whether a driver can do what an experiment asks for is the driver's to say: the
// same file may be fine for a cluster and too much for a laptop.
//
// Only this package imports the Chaos Mesh API, which brings half of Kubernetes with it.
package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/wedsync/wedsync/chaos/experiment"
)

//go:generate sh crds/generate.sh

// Experiment is one validated resource. See package experiment, which drivers import alone.
type Experiment = experiment.Experiment

// maxFile bounds an experiment file. The largest that anybody writes by hand is a few KiB.
const maxFile = 1 << 20

// Load reads the experiments of files, several documents to a file; of a folder it reads every
// *.yaml and *.yml. The error of invalid files is [Problems], all of them at once.
func Load(paths ...string) ([]*Experiment, error) {
	var all []*Experiment
	var problems Problems
	for _, path := range paths {
		files, err := expand(path)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := read(file)
			if err != nil {
				return nil, err
			}
			exps, ps := parse(file, text)
			all = append(all, exps...)
			problems = append(problems, ps...)
		}
	}
	if problems = append(problems, twice(all)...); len(problems) > 0 {
		return nil, problems
	}
	return all, nil
}

// parse checks the text of one file.
func parse(file string, text []byte) ([]*Experiment, Problems) {
	docs, problems := split(file, text)
	var exps []*Experiment
	for _, doc := range docs {
		obj, ps := validate(doc)
		problems = append(problems, ps...)
		if len(ps) == 0 {
			exps = append(exps, convert(doc, obj))
		}
	}
	if len(docs) == 0 && len(problems) == 0 {
		problems = append(problems, Problem{File: file, Line: 1, What: "there is no resource in this file",
			Do: "write a Chaos Mesh resource, or remove the file"})
	}
	return exps, problems
}

// twice finds resources of the same kind, namespace and name: on a cluster the second replaces the first.
func twice(exps []*Experiment) (problems Problems) {
	type id struct{ kind, namespace, name string }
	first := make(map[id]*Experiment)
	for _, e := range exps {
		key := id{e.Kind, e.Namespace, e.Name}
		if f, ok := first[key]; ok {
			problems = append(problems, Problem{File: e.File, Line: e.Line, Path: "metadata.name",
				What: fmt.Sprintf("%s %q stands at %s:%d already", e.Kind, e.Name, f.File, f.Line), Do: "give one of them another name"})
			continue
		}
		first[key] = e
	}
	return problems
}

// expand returns the files that a path stands for.
func expand(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("looking for experiments: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
	for _, pattern := range []string{"*.yaml", "*.yml"} {
		found, err := filepath.Glob(filepath.Join(path, pattern))
		if err != nil {
			return nil, fmt.Errorf("looking for experiments in %s: %w", path, err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("looking for experiments in %s: the folder holds no *.yaml; name files instead", path)
	}
	slices.Sort(files)
	return files, nil
}

func read(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("reading experiments: %w", err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("reading experiments: %s has %d bytes, the limit is %d: split it", file, info.Size(), maxFile)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading experiments: %w", err)
	}
	return text, nil
}
