package dev.kindling.bench.single;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.onednn.InstructionSet;
import java.util.List;
import java.util.Locale;

/** What it costs to keep a frozen matrix as codes and decode it in each product. */
final class CodedProducts {
  private static final int[][] LAYERS = {{768, 3072}, {2048, 5632}};
  private static final int[] TOKENS = {512, 2048};

  private CodedProducts() {}

  static void print() {
    System.out.println(
        "| in → out | tokens | product | precision | threads | plain, ms | codes | coded, ms | ratio"
            + " | quartiles | others |");
    System.out.println("|---|---|---|---|---|---|---|---|---|---|---|");
    List<String> precisions =
        InstructionSet.multipliesBf16() ? List.of("fp32", "bf16") : List.of("fp32");
    for (String precision : precisions) {
      for (int threads = 1; threads <= 2; threads++) {
        for (int[] layer : LAYERS) {
          for (int tokens : TOKENS) {
            lines(precision, threads, layer[0], layer[1], tokens);
          }
        }
      }
    }
  }

  private static void lines(String precision, int threads, int in, int out, int tokens) {
    try (Workbench bench = new Workbench("onednn-" + precision, threads)) {
      Backend backend = bench.backend();
      FrozenMatrix plain = bench.frozen(out, in);
      Tensor x = bench.active(tokens, in);
      Tensor y = bench.active(tokens, out);
      for (Storage storage : List.of(Storage.NF4, Storage.INT8)) {
        FrozenMatrix coded = backend.coded(storage, false, out, in);
        backend.code(bench.real(out, in), coded);
        InTurn forward =
            InTurn.of(
                () -> backend.linear(x, plain, null, y, false),
                () -> backend.linear(x, coded, null, y, false));
        InTurn backward =
            InTurn.of(
                () -> backend.linearBackward(y, plain, x, false),
                () -> backend.linearBackward(y, coded, x, false));
        String where = "| %,d → %,d | %,d | ".formatted(in, out, tokens);
        String how = " | %s | %d | ".formatted(precision, threads);
        line(where + "x·wᵀ" + how, storage, forward);
        line(where + "dy·w" + how, storage, backward);
        coded.release();
      }
    }
  }

  private static void line(String what, Storage storage, InTurn found) {
    System.out.printf(
        Locale.ROOT,
        "%s%.2f | %s | %.2f | %.2f | %.2f–%.2f | %.2f |%n",
        what,
        found.firstMs(),
        storage.spelled(),
        found.secondMs(),
        found.ratio(),
        found.low(),
        found.high(),
        found.othersCores());
  }
}
