package dev.kindling.model;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.Initialiser;
import dev.kindling.lora.Initialiser.Pair;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.nn.SampledWeight;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Tensor;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * The weights of a model that gradients go on through in part, each taken apart by the singular
 * vectors that {@link Initialiser#PISSA} begins with. A function of the weights alone, in double,
 * so that every executor has the same parts without being sent them.
 */
final class SampledWeights {
  /** Rows of a weight that are read at once. */
  private static final int BLOCK = 256;

  private SampledWeights() {}

  /** Makes one of a module's weight. */
  private interface Maker {
    SampledWeight of(FrozenMatrix w, int kept, int rank);
  }

  /** By module; with all features chosen. */
  static Map<String, SampledWeight> of(
      Backend backend,
      List<LinearModule> modules,
      AdapterLayout layout,
      Function<String, FrozenMatrix> matrix) {
    boolean byGradient = layout.settings().sampling().byGradient();
    return each(
        modules,
        layout,
        matrix,
        (w, kept, rank) ->
            SampledWeight.of(
                backend, w, kept, rank, parts(values(backend, w), w, rank), byGradient));
  }

  /** The same without memory. */
  static Map<String, SampledWeight> unplaced(
      Backend backend,
      List<LinearModule> modules,
      AdapterLayout layout,
      Function<String, FrozenMatrix> matrix) {
    return each(
        modules, layout, matrix, (w, kept, rank) -> SampledWeight.unplaced(backend, w, kept, rank));
  }

  private static Map<String, SampledWeight> each(
      List<LinearModule> modules,
      AdapterLayout layout,
      Function<String, FrozenMatrix> matrix,
      Maker maker) {
    AdapterSettings settings = layout.settings();
    Map<String, SampledWeight> sampled = new HashMap<>();
    for (LinearModule m : modules) {
      if (layout.find(m.name(), Role.SELECTION).isPresent()) {
        FrozenMatrix w = matrix.apply(m.weight());
        int kept = settings.sampling().kept(m.name(), w.out());
        sampled.put(m.name(), maker.of(w, kept, settings.exact(m)));
      }
    }
    return sampled;
  }

  private static SampledWeight.Parts parts(float[] values, FrozenMatrix w, int rank) {
    Pair pair = Initialiser.PISSA.fromBase().orElseThrow().pair(values, w.out(), w.in(), rank, 1);
    float[] squares = new float[w.out()];
    for (int row = 0; row < w.out(); row++) {
      double sum = 0;
      for (int c = 0; c < w.in(); c++) {
        double left = values[row * w.in() + c];
        for (int k = 0; k < rank; k++) {
          left -= (double) pair.b()[row * rank + k] * pair.a()[k * w.in() + c];
        }
        sum += left * left;
      }
      squares[row] = (float) sum;
    }
    return new SampledWeight.Parts(pair.a(), pair.b(), squares);
  }

  /** [out, in], as products see them. */
  private static float[] values(Backend backend, FrozenMatrix w) {
    float[] all = new float[Math.multiplyExact(w.out(), w.in())];
    Tensor ids = backend.allocate(DType.I32, BLOCK);
    Tensor rows = backend.allocate(backend.real(), BLOCK, w.in());
    for (int from = 0; from < w.out(); from += BLOCK) {
      int n = Math.min(BLOCK, w.out() - from);
      int[] some = new int[n];
      for (int i = 0; i < n; i++) {
        some[i] = from + i;
      }
      backend.write(ids, some);
      backend.embed(ids.slice(0, n), w, rows.slice(0, n, w.in()), false);
      float[] read = new float[n * w.in()];
      backend.read(rows, read);
      System.arraycopy(read, 0, all, from * w.in(), read.length);
    }
    backend.free(ids);
    backend.free(rows);
    return all;
  }
}
