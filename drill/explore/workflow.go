package explore

import (
	"bytes"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"
)

// Workflow writes a schedule as a Chaos Mesh Workflow: all faults side by side, each after a pause. It runs locally in
// a drill, and on a cluster.
func (s Schedule) Workflow(name string) ([]byte, error) {
	all := template{Name: "schedule", Type: "Parallel", Deadline: lasting(s.End() + time.Minute)}
	var parts []template
	for i, f := range s {
		n := i + 1
		part := f.template(fmt.Sprintf("fault-%d", n))
		if f.At > 0 {
			pause := template{Name: fmt.Sprintf("pause-%d", n), Type: "Suspend", Deadline: lasting(f.At)}
			later := template{Name: fmt.Sprintf("later-%d", n), Type: "Serial", Deadline: all.Deadline, Children: []string{pause.Name, part.Name}}
			all.Children = append(all.Children, later.Name)
			parts = append(parts, later, pause, part)
			continue
		}
		all.Children = append(all.Children, part.Name)
		parts = append(parts, part)
	}
	var text bytes.Buffer
	for _, f := range s {
		fmt.Fprintf(&text, "# %v\n", f)
	}
	enc := yaml.NewEncoder(&text)
	enc.SetIndent(2)
	err := enc.Encode(workflow{
		APIVersion: "chaos-mesh.org/v1alpha1", Kind: "Workflow", Metadata: metadata{name, namespace},
		Spec: spec{Entry: all.Name, Templates: append([]template{all}, parts...)},
	})
	if err != nil {
		return nil, fmt.Errorf("writing the workflow %s: %w", name, err)
	}
	return text.Bytes(), nil
}

// namespace is that of the experiments of this repository.
const namespace = "wedsync"

// The shape of the resource: chaos-mesh.org/v1alpha1, Workflow. Only what is written here is written.
type (
	workflow struct {
		APIVersion string   `yaml:"apiVersion"`
		Kind       string   `yaml:"kind"`
		Metadata   metadata `yaml:"metadata"`
		Spec       spec     `yaml:"spec"`
	}
	metadata struct {
		Name      string `yaml:"name"`
		Namespace string `yaml:"namespace"`
	}
	spec struct {
		Entry     string     `yaml:"entry"`
		Templates []template `yaml:"templates"`
	}
	template struct {
		Name     string         `yaml:"name"`
		Type     string         `yaml:"templateType"`
		Deadline string         `yaml:"deadline"`
		Children []string       `yaml:"children,omitempty"`
		Pod      map[string]any `yaml:"podChaos,omitempty"`
		Network  map[string]any `yaml:"networkChaos,omitempty"`
		Machine  map[string]any `yaml:"physicalmachineChaos,omitempty"`
	}
)

// template is the fault, held until its deadline.
func (f Fault) template(name string) template {
	t := template{Name: name, Deadline: lasting(f.Hold)}
	switch f.Kind {
	case Down:
		t.Type, t.Pod = "PodChaos", map[string]any{"action": "pod-failure", "mode": "all", "selector": region(f.Region)}
	case Frozen:
		t.Type, t.Machine = "PhysicalMachineChaos", map[string]any{"action": "process", "mode": "all", "selector": region(f.Region),
			"process": map[string]any{"process": "wedsync-server", "signal": 19, "recoverCmd": "pkill -CONT -x wedsync-server"}}
	default:
		t.Type = "NetworkChaos"
		t.Network = map[string]any{"action": "partition", "direction": "both", "mode": "all", "selector": region(f.Region)}
		if f.Kind.link() {
			t.Network["target"] = map[string]any{"mode": "all", "selector": region(f.Peer)}
		}
		switch f.Kind {
		case Slow:
			t.Network["action"], t.Network["delay"] = "delay", map[string]any{"latency": f.Delay.String()}
		case Lossy:
			t.Network["action"], t.Network["loss"] = "loss", map[string]any{"loss": fmt.Sprint(f.Loss)}
		}
	}
	return t
}

func region(name string) map[string]any {
	return map[string]any{"namespaces": []string{namespace}, "labelSelectors": map[string]string{
		"app.kubernetes.io/name": "wedsync-server", "topology.kubernetes.io/region": name}}
}

// lasting writes a duration as Chaos Mesh reads it.
func lasting(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return fmt.Sprintf("%dms", d/time.Millisecond)
}
