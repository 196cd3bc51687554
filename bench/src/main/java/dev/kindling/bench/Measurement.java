package dev.kindling.bench;

import dev.kindling.bench.peer.Peer;
import dev.kindling.lora.plan.PairPlan;
import dev.kindling.lora.plan.PlanChooser;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * What one process found.
 *
 * @param sides in the order they were asked for
 * @param peakMb largest resident size of the process so far (VmHWM), in MB of 10⁶ bytes: weights,
 *     activations, libraries, the JVM and its heap
 * @param othersCores cores that other processes of the machine kept busy while the rounds ran
 * @param libraries what libtorch says of itself; empty if it was not loaded
 */
record Measurement(List<Timing> sides, double peakMb, double othersCores, String libraries) {
  /** The first step finds its memory, compiles and packs. */
  private static final int WARM_UP = 1;

  /**
   * Before each step: OpenBLAS's threads keep a core busy for some 25 ms after libtorch's last
   * product, and whoever came next had that core less.
   */
  private static final long QUIET_MS = 100;

  /** Whose gradients the others' are compared with. */
  private static final String REFERENCE = Row.side(Peer.NAME, Precision.FP32);

  /**
   * One side's steps.
   *
   * @param side backend, perhaps its plan, and precision: {@code onednn-bf16}, {@code
   *     onednn:f1kb1-fp32}
   * @param loss mean loss of the first step
   * @param ms median time of a step, in milliseconds
   * @param gradientOff ‖g − g′‖ / ‖g′‖ of its first gradient g and libtorch's in fp32 g′; 0 for a
   *     side that is measured alone
   */
  record Timing(String side, double loss, double ms, double gradientOff) {}

  /** Runs all sides in turn, {@code rounds} times after warming up. */
  static Measurement of(Case setting, List<String> names, int rounds) {
    List<Side> sides = names.stream().map(name -> open(setting, name)).toList();
    double[] losses = new double[sides.size()];
    double[] off = new double[sides.size()];
    double[][] times = new double[sides.size()][rounds];
    Load load = Load.now();
    for (int round = -WARM_UP; round < rounds; round++) {
      for (int i = 0; i < sides.size(); i++) {
        settle();
        long start = System.nanoTime();
        double loss = sides.get(i).step();
        double ms = (System.nanoTime() - start) / 1e6;
        if (round == -WARM_UP) {
          losses[i] = loss;
        }
        if (round >= 0) {
          times[i][round] = ms;
        }
      }
      int reference = names.indexOf(REFERENCE);
      if (round == -WARM_UP && sides.size() > 1 && reference >= 0) {
        float[] wanted = sides.get(reference).gradient();
        Arrays.setAll(off, i -> distance(sides.get(i).gradient(), wanted));
      }
    }
    List<Timing> timings = new ArrayList<>();
    for (int i = 0; i < sides.size(); i++) {
      timings.add(new Timing(names.get(i), losses[i], median(times[i]), off[i]));
    }
    double others = load.othersSince();
    boolean peer = names.stream().anyMatch(name -> name.startsWith(Peer.NAME));
    return new Measurement(timings, residentPeakMb(), others, peer ? Peer.libraries() : "");
  }

  private static void settle() {
    try {
      Thread.sleep(QUIET_MS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    }
  }

  private static Side open(Case setting, String name) {
    int dash = name.lastIndexOf('-');
    String backend = name.substring(0, dash);
    for (Precision precision : Precision.values()) {
      if (name.endsWith("-" + precision.label())) {
        return backend.equals(Peer.NAME)
            ? Peer.open(setting, precision)
            : ours(setting, backend, precision);
      }
    }
    throw new IllegalArgumentException("no side '" + name + "'");
  }

  /** Ours, after a colon with one plan for all pairs: {@code onednn:f1kb1}. */
  private static Side ours(Case setting, String name, Precision precision) {
    String[] words = name.split(":", 2);
    PlanChooser plans =
        words.length == 1
            ? new PlanChooser.FewestFlops()
            : new PlanChooser.Fixed(PairPlan.of(words[1]).orElseThrow());
    return Ours.open(setting, words[0], precision, plans);
  }

  /** The timing of a side. */
  Timing timing(String side) {
    return sides.stream().filter(one -> one.side.equals(side)).findFirst().orElseThrow();
  }

  private static double distance(float[] found, float[] wanted) {
    double off = 0;
    double norm = 0;
    for (int i = 0; i < wanted.length; i++) {
      off += Math.pow(found[i] - wanted[i], 2);
      norm += Math.pow(wanted[i], 2);
    }
    return Math.sqrt(off / norm);
  }

  private static double median(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int half = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }

  private static double residentPeakMb() {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
        if (line.startsWith("VmHWM:")) {
          return Long.parseLong(line.replaceAll("\\D", "")) * 1024 / 1e6;
        }
      }
      throw new IllegalStateException("/proc/self/status has no VmHWM");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
