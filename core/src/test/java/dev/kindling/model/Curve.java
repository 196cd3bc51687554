package dev.kindling.model;

import dev.kindling.optim.OptimizerSettings;
import dev.kindling.optim.Schedule;
import dev.kindling.tensor.Backend;
import dev.kindling.train.TrainingState;
import dev.kindling.train.Update;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** The losses of fifty steps, longer than PyTorch's vectors go, from one engine to another. */
public final class Curve {
  private static final int STEPS = 50;
  private static final double LEARNING_RATE = 5e-3;

  private Curve() {}

  /** Losses of fp32 on a CPU, as they were written down; CurveTest holds CPUs of today to them. */
  static List<Double> written(String name) {
    try (InputStream in = Curve.class.getResourceAsStream("/curves/" + name + ".txt")) {
      if (in == null) {
        throw new IllegalStateException("no curve of " + name);
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8)
          .lines()
          .map(Double::valueOf)
          .toList();
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Losses of a golden case's model and rows, with AdamW at one rate. */
  static List<Double> losses(Backend backend, String name) {
    Golden golden = new Golden(name);
    OptimizerSettings optimizer =
        new OptimizerSettings(
            OptimizerSettings.Kind.ADAMW,
            LEARNING_RATE,
            0,
            0.9,
            0.999,
            1e-8,
            new Schedule(Schedule.Curve.CONSTANT, 0, STEPS));
    TrainingState state =
        new TrainingState(
            golden.layout,
            golden.adapter.values(golden.layout),
            List.of(),
            new Update(optimizer, 1, golden.layout, golden.learners()),
            Optional.empty(),
            false);
    List<Double> losses = new ArrayList<>();
    try (Model model = golden.model(backend)) {
      for (int step = 0; step < STEPS; step++) {
        losses.add(GoldenTest.step(golden, model, state, step, golden.batchSize()));
      }
    }
    return losses;
  }
}
