package chaos

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/chaos-mesh/chaos-mesh/api/genericwebhook"
	"github.com/chaos-mesh/chaos-mesh/api/v1alpha1"
)

// finding is what the webhook says about a field, with the path of the YAML.
type finding struct{ path, what string }

// webhookProblems is layer 3: what the validating webhook of Chaos Mesh would say. The verdict is
// that of ValidateCreate, the function that a cluster calls. Its error is one flat string that
// names Go fields and forgets which template of a Workflow is meant, so the details are asked for
// again, body by body.
func webhookProblems(doc *document, obj resource) (problems Problems) {
	if lacksBody(obj) {
		return nil // reported by the lint; the webhook would follow the nil pointer
	}
	var findings []finding
	err := guard(func() error {
		ctx := context.Background()
		if err := obj.Default(ctx, obj); err != nil {
			return err
		}
		_, err := obj.ValidateCreate(ctx, obj)
		if err != nil {
			findings = explain(obj, err)
		}
		return err
	})
	if err == nil {
		return nil
	}
	if len(findings) == 0 {
		return Problems{doc.problem("", "compare with chaos/experiments", "the webhook of Chaos Mesh refuses it: %v", err)}
	}
	for _, f := range findings {
		problems = append(problems, doc.problem(f.path, advice(f.path), "%s", plain(f.what)))
	}
	return problems
}

// guard turns a panic of the upstream validator into an error that says whose fault it is. The
// lints report the inputs that are known to cause one; this is for those that are not.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its validator crashed (%v), which is a bug in Chaos Mesh; part of the resource is probably missing", p)
		}
	}()
	return f()
}

// explain finds the fields behind an error of ValidateCreate.
func explain(obj resource, err error) (findings []finding) {
	switch obj := obj.(type) {
	case *v1alpha1.Schedule:
		for _, e := range obj.Spec.Validate(&obj.Spec) {
			switch {
			case e.Field == "spec": // says only that the type is unknown
				findings = append(findings, finding{"spec.type", e.Detail})
			case strings.HasPrefix(e.Field, "spec"):
				findings = append(findings, finding{e.Field, e.Detail})
			}
		}
	case *v1alpha1.Workflow:
		findings = workflowFindings(err)
	}
	for _, b := range bodies(obj) {
		for i, f := range findings {
			if strings.HasPrefix(f.what, "should not define duration") && strings.HasPrefix(b.path, f.path+".") {
				findings[i].path = b.path + ".duration"
			}
		}
		findings = append(findings, b.findings()...)
	}
	return findings
}

// plainer puts the webhook's messages into words. The values are in the file already.
var plainer = strings.NewReplacer(
	"parse value field error:strconv.Atoi: parsing ", "not a whole number: ",
	"parse correlation field error:strconv.ParseFloat: parsing ", "not a number: ",
	": invalid syntax", "",
	"parse schedule field error:", "not a schedule: ",
	"parse duration field error: time: ", "",
	"parse timeOffset field error:time: ", "",
	"can not find a template with name ", "there is no template ",
	": invalid value", "",
)

// plain is a message of the webhook in words.
func plain(what string) string {
	what, _, _ = strings.Cut(what, ", [a lowercase RFC 1123") // the rule as a regular expression
	return plainer.Replace(what)
}

// findings validates one chaos body by itself.
func (b *body) findings() (findings []finding) {
	genericwebhook.Default(b.object)
	for _, e := range genericwebhook.Validate(b.object) {
		findings = append(findings, finding{b.yamlPath(e.Field), e.Detail})
	}
	return findings
}

// workflowFindings takes apart the flat error of a Workflow:
//
//	[spec.entry: Invalid value: "x": can not find…, spec.templates[1].deadline: Invalid value: null: …]
//
// Errors of the bodies in it start with Spec and are left out: bodies are asked one by one.
func workflowFindings(err error) (findings []finding) {
	text := strings.TrimSuffix(strings.TrimPrefix(err.Error(), "["), "]")
	starts := errorStart.FindAllStringSubmatchIndex(text, -1)
	for i, m := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		path := text[m[2]:m[3]]
		if strings.HasPrefix(path, "Spec") {
			continue
		}
		what := strings.TrimSuffix(text[m[1]:end], ", ")
		findings = append(findings, finding{kindPath(path), withoutValue(what)})
	}
	return findings
}

// errorStart finds where an error begins in the flat list.
var errorStart = regexp.MustCompile(`(?:^|, )([Ss]pec[\w.\[\]]*): (?:Invalid value|Required value|Unsupported value|Duplicate value|Forbidden)(?:: )?`)

// withoutValue cuts the offending value off, which may be a page of JSON.
func withoutValue(what string) string {
	if q, err := strconv.QuotedPrefix(what); err == nil {
		return strings.TrimPrefix(what[len(q):], ": ")
	}
	if what != "" && (what[0] == '{' || what[0] == '[') {
		if i := strings.LastIndex(what, string(what[0]+2)+": "); i >= 0 { // } and ] stand two after { and [
			return what[i+len("}: "):]
		}
	}
	if v, rest, ok := strings.Cut(what, ": "); ok && !strings.Contains(v, " ") {
		return rest
	}
	return what
}

// kindPath corrects the one kind of path in which the Workflow webhook names a Go field:
// spec.templates[1].PodChaos.
func kindPath(path string) string {
	for kind, key := range embeddedKey {
		if p, ok := strings.CutSuffix(path, "."+kind); ok {
			return p + "." + key
		}
	}
	return path
}

// advice says what to write at a path, by the name of its last field.
func advice(path string) string {
	name := path[strings.LastIndexByte(path, '.')+1:]
	name, _, _ = strings.Cut(name, "[")
	if do := adviceFor[name]; do != "" {
		return do
	}
	return "see the Chaos Mesh documentation of this field"
}

var adviceFor = map[string]string{
	"spec":         "add the block that is named like the action, with its parameters",
	"duration":     "write a duration such as 30s or 1m30s",
	"deadline":     "write a duration such as 30s or 1m30s",
	"latency":      "write a duration such as 80ms",
	"jitter":       "write a duration such as 10ms",
	"timeOffset":   "write an offset such as -250ms",
	"value":        `write a whole number greater than 0 in quotes, such as "2"`,
	"loss":         `write a percentage in quotes, such as "10"`,
	"duplicate":    `write a percentage in quotes, such as "10"`,
	"corrupt":      `write a percentage in quotes, such as "10"`,
	"correlation":  `write a percentage in quotes, such as "25"`,
	"reorder":      `write a percentage in quotes, such as "10"`,
	"rate":         "write a rate such as 10mbps (megabytes a second) or 10mbit",
	"schedule":     `write a cron expression such as "0 3 * * *", or "@every 1h"`,
	"statusCode":   `write "200" or "200-299"`,
	"url":          "write the whole address, such as http://host:port/path",
	"children":     "name templates of this workflow",
	"entry":        "name a template of this workflow",
	"templates":    "give every template its own name",
	"name":         "use small letters, digits, - and .",
	"direction":    "add a target, or leave the direction at to",
	"templateType": "use Serial, Parallel, Suspend, Task, StatusCheck, Schedule, or a chaos kind",
	"address":      "give either address or selector",
	"process":      "give the name of the process and a signal",
	"type":         "use HTTP",
	"http":         "add http with url and criteria",

	"containerNames": "add containerNames, such as [server]",
}
