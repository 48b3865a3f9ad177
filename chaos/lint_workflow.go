package chaos

import (
	"go/ast"
	"go/parser"
	"regexp"
	"strings"

	"github.com/chaos-mesh/chaos-mesh/api/genericwebhook"
	"github.com/chaos-mesh/chaos-mesh/api/v1alpha1"
)

// lintTemplates checks what the webhook of Workflow does not look at: loops, branches, status
// checks and schedules inside templates.
func lintTemplates(doc *document, path string, templates []v1alpha1.Template) (problems Problems) {
	byName := make(map[string]int)
	for i, t := range templates {
		byName[t.Name] = i
	}
	for i, t := range templates {
		at := indexed(path+".templates", i)
		if loops(templates, byName, i) {
			problems = append(problems, doc.problem(at+".children", "break the circle", "template %q contains itself, so the workflow would never end", t.Name))
		}
		for j, b := range t.ConditionalBranches {
			branch := indexed(at+".conditionalBranches", j)
			if _, ok := byName[b.Target]; !ok {
				problems = append(problems, doc.problem(branch+".target", "name a template of this workflow", "there is no template %q", b.Target))
			}
			if err := checkExpression(b.Expression); err != "" {
				problems = append(problems, doc.problem(branch+".expression", `write a comparison such as exitCode == 0 or stdout contains "ok"`, "%q %s", b.Expression, err))
			}
		}
		switch {
		case t.Type == v1alpha1.TypeTask && (t.Task == nil || t.Task.Container == nil):
			problems = append(problems, doc.problem(at+".task", "add task.container with name and image", "a Task without a container runs nothing"))
		case t.Type == v1alpha1.TypeStatusCheck && t.StatusCheck == nil:
			problems = append(problems, doc.problem(at+".statusCheck", "add statusCheck", "a StatusCheck without its block checks nothing"))
		case t.Type == v1alpha1.TypeStatusCheck:
			problems = append(problems, lintStatusCheck(doc, at+".statusCheck", t.StatusCheck)...)
		case t.Type == v1alpha1.TypeSchedule && t.Schedule == nil:
			problems = append(problems, doc.problem(at+".schedule", "add schedule", "a Schedule without its block does nothing"))
		case t.Type == v1alpha1.TypeSchedule:
			if _, err := v1alpha1.StandardCronParser.Parse(t.Schedule.Schedule); err != nil {
				problems = append(problems, doc.problem(at+".schedule.schedule", advice("schedule"), "%q is not a schedule: %v", t.Schedule.Schedule, err))
			}
		}
	}
	return problems
}

// loops reports whether template i can be reached from its own children.
func loops(templates []v1alpha1.Template, byName map[string]int, i int) bool {
	seen := make(map[int]bool)
	var reaches func(from int) bool
	reaches = func(from int) bool {
		for _, child := range templates[from].Children {
			next, ok := byName[child]
			if !ok || seen[next] {
				continue
			}
			seen[next] = true
			if next == i || reaches(next) {
				return true
			}
		}
		return false
	}
	return reaches(i)
}

// lintStatusCheck runs the webhook of StatusCheck over the block, which that of Workflow does not.
func lintStatusCheck(doc *document, path string, spec *v1alpha1.StatusCheckSpec) (problems Problems) {
	whole := &v1alpha1.StatusCheck{Spec: *spec.DeepCopy()}
	genericwebhook.Default(whole)
	for _, e := range genericwebhook.Validate(whole) {
		at := yamlPath(path, whole, e.Field)
		problems = append(problems, doc.problem(at, advice(at), "%s", e.Detail))
	}
	return problems
}

// checkExpression says what is wrong with the expression of a branch. The full language is that of
// github.com/expr-lang/expr; its comparisons, which is what branches are made of, read like Go's
// once the words are replaced. Known are exitCode and stdout.
func checkExpression(text string) string {
	e, err := parser.ParseExpr(words.ReplaceAllStringFunc(quotes.ReplaceAllString(text, `"$1"`), func(w string) string {
		return inGo[strings.TrimSpace(w)]
	}))
	if err != nil {
		return "is not an expression"
	}
	wrong := ""
	ast.Inspect(e, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && !variables[id.Name] && wrong == "" {
			wrong = "uses " + id.Name + ", and only exitCode and stdout are known"
		}
		return wrong == ""
	})
	return wrong
}

var (
	quotes    = regexp.MustCompile(`'([^'"\\]*)'`)
	words     = regexp.MustCompile(`\b(not in|and|or|not|matches|contains|startsWith|endsWith|in)\b`)
	inGo      = map[string]string{"and": "&&", "or": "||", "not": "!", "matches": "==", "contains": "==", "startsWith": "==", "endsWith": "==", "in": "==", "not in": "!="}
	variables = map[string]bool{"exitCode": true, "stdout": true, "true": true, "false": true, "nil": true, "len": true}
)
