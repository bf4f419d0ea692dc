package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/appliance/lab"
)

func trainCommand() *cobra.Command {
	o := lab.TrainOptions{}
	var asJSON bool
	var out, model string
	c := &cobra.Command{
		Use: "train [TRACE...]", Short: "Teach the model that decides how hard packaging looks, and judge it",
		Long: "Learns from traces that `weir trace record` made; without any, from generated workloads, as the shipped model was.\n" +
			"Then compares the model, on generated workloads that it was not learned from, with trying everything and with\n" +
			"fixed rules. A gateway takes the model with --model FILE.",
		RunE: func(c *cobra.Command, args []string) error {
			o.Traces = args
			if !asJSON {
				b := newBar(c.ErrOrStderr(), false)
				defer b.close()
				o.Report = b.report
			}
			m, e, err := lab.Train(c.Context(), o, model)
			if err != nil {
				return err
			}
			if out != "" {
				b, err := json.Marshal(m)
				if err != nil {
					return err
				}
				if err := os.WriteFile(out, append(b, '\n'), 0o644); err != nil {
					return err
				}
			}
			if e == nil {
				return nil
			}
			if asJSON {
				return printEither(c, true, e, nil)
			}
			return errors.Join(e.Print(c.OutOrStdout()), printWritten(c, out))
		},
	}
	f := c.Flags()
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.StringVar(&out, "out", "", "write the model to this `FILE`")
	f.StringVar(&model, "judge", "", "learn nothing: judge this model `FILE`, or \"shipped\"")
	f.IntVar(&o.Seeds, "seeds", lab.TrainSeeds, "generated volumes to learn from")
	f.IntVar(&o.Rounds, "rounds", lab.TrainRounds, "rounds of all kinds of work on each")
	f.IntVar(&o.JudgeSeeds, "judge-seeds", 2, "generated volumes to judge by; 0: none")
	return c
}

func printWritten(c *cobra.Command, path string) error {
	if path == "" {
		return nil
	}
	_, err := fmt.Fprintf(c.OutOrStdout(), "\nwritten to %s; a gateway takes it with --model %s\n", path, path)
	return err
}
