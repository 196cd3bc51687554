package dev.kindling.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.data.TokenBatch;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.cpu.CpuMemory;
import dev.kindling.tensor.onednn.OneDnnBackend;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** After its first steps a model takes no more memory, native or Java's, however many follow. */
class SteadyStateTest {
  private static final int STEPS = 1000;

  @ParameterizedTest
  @EnumSource(Precision.class)
  void thousandSteps_ofTwoShapes_leaveMemoryAsItWas(Precision precision) throws IOException {
    Golden golden = new Golden("llama-gqa");
    TokenBatch[] batches = {
      TokenBatch.of(golden.batch(0), golden.plan.rules()),
      TokenBatch.of(golden.batch(1).subList(0, 1), golden.plan.rules())
    };
    try (Backend backend = new OneDnnBackend(precision, 1);
        FrozenWeights weights = golden.weights(backend);
        Model model = golden.plan.build(backend, weights, golden.layout, false)) {
      model.load(golden.adapter.values(golden.layout));
      float[] gradient = new float[golden.layout.elements()];
      run(model, batches, gradient, 100);
      long native0 = CpuMemory.heldBytes();
      long heap0 = heap();
      long resident0 = resident();
      run(model, batches, gradient, STEPS);
      assertThat(CpuMemory.heldBytes()).as("tensors and descriptions").isLessThanOrEqualTo(native0);
      assertThat(heap() - heap0).as("heap after collection").isLessThan(1 << 20);
      // oneDNN's own memory does not go through JavaCPP. The JVM's heap touches new pages too,
      // hence
      // so coarse a bound: with a heap touched beforehand 14,000 steps left 4 MB.
      assertThat(resident() - resident0).as("resident").isLessThan(128L << 20);
    }
  }

  private static void run(Model model, TokenBatch[] batches, float[] gradient, int steps) {
    for (int step = 0; step < steps; step++) {
      model.gradient(batches[step % batches.length], gradient);
    }
  }

  private static long heap() {
    System.gc();
    Runtime java = Runtime.getRuntime();
    return java.totalMemory() - java.freeMemory();
  }

  private static long resident() throws IOException {
    String pages = Files.readString(Path.of("/proc/self/statm"));
    return Long.parseLong(pages.replaceFirst("^[0-9]+ ([0-9]+)(?s:.*)$", "$1")) * 4096;
  }
}
