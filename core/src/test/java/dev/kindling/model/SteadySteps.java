package dev.kindling.model;

import dev.kindling.data.TokenBatch;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.onednn.OneDnnBackend;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Mutable: gradients of a golden case over and over, of batches of two shapes in turn. */
final class SteadySteps implements AutoCloseable {
  /**
   * Java compiles no more, and metaspace, code and the C library's heap have grown as they will.
   */
  private static final int WARM_UP = 1000;

  private final Backend backend;
  private final FrozenWeights weights;
  private final Model model;
  private final TokenBatch[] batches;
  private final float[] gradient;

  SteadySteps(String name, Precision precision, int threads) {
    Golden golden = new Golden(name);
    backend = new OneDnnBackend(precision, threads);
    weights = golden.weights(backend);
    model = golden.plan.build(backend, weights, golden.layout, false);
    model.load(golden.adapter.values(golden.layout));
    gradient = new float[golden.layout.elements()];
    batches =
        new TokenBatch[] {
          TokenBatch.of(golden.batch(0), golden.plan.rules()),
          TokenBatch.of(golden.batch(1).subList(0, 1), golden.plan.rules())
        };
  }

  void run(int steps) {
    for (int step = 0; step < steps; step++) {
      model.gradient(batches[step % batches.length], gradient);
    }
  }

  /**
   * Runs so many steps in fp32 in a fresh JVM, after others that warm it up, and tells by how many
   * bytes they made it larger. Its heap is of one size and touched at once.
   *
   * @throws IllegalStateException if the process fails
   */
  static long growthInAnotherProcess(String name, int threads, int steps)
      throws IOException, InterruptedException {
    ProcessBuilder builder =
        new ProcessBuilder(
                List.of(
                    Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    "-Xms128m",
                    "-Xmx128m",
                    "-XX:+AlwaysPreTouch",
                    "-XX:+UseSerialGC",
                    "-XX:TieredStopAtLevel=1",
                    "-cp",
                    System.getProperty("java.class.path"),
                    SteadySteps.class.getName(),
                    name,
                    String.valueOf(threads),
                    String.valueOf(steps)))
            .redirectError(ProcessBuilder.Redirect.INHERIT);
    builder.environment().put("OMP_NUM_THREADS", String.valueOf(threads));
    builder.environment().put("OMP_WAIT_POLICY", "PASSIVE"); // else threads spin for a busy core
    Process process = builder.start();
    String told = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    if (process.waitFor() != 0) {
      throw new IllegalStateException(name + " ended with " + process.exitValue() + ": " + told);
    }
    return Long.parseLong(told.strip().replaceAll("(?s).*\n", ""));
  }

  /** The other process: case, threads, steps. */
  public static void main(String[] arguments) throws IOException {
    int threads = Integer.parseInt(arguments[1]);
    try (SteadySteps steps = new SteadySteps(arguments[0], Precision.FP32, threads)) {
      steps.run(WARM_UP);
      long before = residentBytes();
      steps.run(Integer.parseInt(arguments[2]));
      System.out.println(residentBytes() - before);
    }
  }

  private static long residentBytes() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmRSS:")) {
        return 1024 * Long.parseLong(line.replaceAll("\\D", ""));
      }
    }
    throw new IllegalStateException("/proc/self/status has no VmRSS");
  }

  @Override
  public void close() {
    model.close();
    weights.close();
    backend.close();
  }
}
