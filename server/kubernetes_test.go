package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// nodeConfig, kubeDeployment and kubeService are what the test looks at of these.
type nodeConfig struct {
	Server struct {
		Listen     string
		DrainDelay time.Duration `yaml:"drain_delay"`
		Drain      time.Duration
	}
	Admin struct{ Probes string }
}

type kubeDeployment struct {
	Spec struct {
		Selector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		}
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				Grace      int `yaml:"terminationGracePeriodSeconds"`
				Containers []struct {
					Ports []struct {
						Name          string
						ContainerPort int `yaml:"containerPort"`
					}
					Startup   map[string]any `yaml:"startupProbe"`
					Liveness  map[string]any `yaml:"livenessProbe"`
					Readiness map[string]any `yaml:"readinessProbe"`
				}
			}
		}
	}
}

type kubeService struct {
	Metadata struct{ Annotations map[string]string }
	Spec     struct {
		Selector map[string]string
		Ports    []struct {
			TargetPort string `yaml:"targetPort"`
		}
	}
}

// TestKubernetesPage: the objects of the page fit each other: ports, probes, labels, and the time that a pod has to
// stop.
func TestKubernetesPage(t *testing.T) {
	_, rest, _ := strings.Cut(pageText(t, balancersPage), "\n## Kubernetes\n")
	blocks := strings.Split(rest, "```yaml\n")
	if len(blocks) != 4 {
		t.Fatalf("there are %d objects", len(blocks)-1)
	}
	var node nodeConfig
	var deployment kubeDeployment
	var service kubeService
	for i, object := range []any{&node, &deployment, &service} {
		code, _, _ := strings.Cut(blocks[i+1], "```")
		if err := yaml.Unmarshal([]byte(code), object); err != nil {
			t.Fatal(err)
		}
	}
	pod := deployment.Spec.Template.Spec
	least := node.Server.DrainDelay + node.Server.Drain + 10*time.Second
	if time.Duration(pod.Grace)*time.Second <= least {
		t.Errorf("a pod has %d s to stop, and needs %v", pod.Grace, least)
	}
	ports := map[string]string{}
	for _, p := range pod.Containers[0].Ports {
		ports[p.Name] = fmt.Sprint("0.0.0.0:", p.ContainerPort)
	}
	if ports["public"] != node.Server.Listen || ports["probes"] != node.Admin.Probes {
		t.Errorf("the ports are %v, and the node has %+v", ports, node)
	}
	get := func(probe map[string]any) string { return fmt.Sprint(probe["httpGet"]) }
	c := pod.Containers[0]
	if live := "map[path:/livez port:probes]"; get(c.Startup) != live || get(c.Liveness) != live ||
		get(c.Readiness) != "map[path:/readyz port:probes]" {
		t.Errorf("the probes are %v, %v, %v", c.Startup, c.Liveness, c.Readiness)
	}
	const annotation = "service.beta.kubernetes.io/aws-load-balancer-healthcheck-"
	a := service.Metadata.Annotations
	if a[annotation+"port"] != strings.TrimPrefix(node.Admin.Probes, "0.0.0.0:") || a[annotation+"path"] != "/readyz" {
		t.Errorf("the annotations are %v", a)
	}
	if labels := fmt.Sprint(deployment.Spec.Template.Metadata.Labels); labels != fmt.Sprint(service.Spec.Selector) ||
		labels != fmt.Sprint(deployment.Spec.Selector.MatchLabels) || service.Spec.Ports[0].TargetPort != "public" {
		t.Errorf("the Service is for %+v, and the pods have %v", service.Spec, labels)
	}
}
