package dev.kindling.bench.single;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.onednn.InstructionSet;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/**
 * What it costs to keep a frozen matrix as codes and decode it in each product: beside the product
 * with the plain matrix, and beside decoding it whole before.
 */
final class CodedProducts {
  private static final int[][] LAYERS = {{768, 3072}, {2048, 5632}};
  private static final int[] TOKENS = {512, 2048};

  private CodedProducts() {}

  static void print() {
    System.out.println(
        "| in → out | tokens | product | precision | threads | codes | plain, ms | coded, ms | ratio"
            + " | quartiles | decoded first, ms | coded to that | quartiles | others |");
    System.out.println("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
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
      Tensor dense = bench.active(out, in);
      Tensor rows = backend.allocate(DType.I32, out);
      backend.write(rows, IntStream.range(0, out).toArray());
      for (Storage storage : List.of(Storage.NF4, Storage.INT8)) {
        FrozenMatrix coded = backend.coded(storage, false, out, in);
        backend.code(bench.real(out, in), coded);
        Runnable whole = () -> backend.embed(rows, coded, dense, false);
        String where = "| %,d → %,d | %,d | ".formatted(in, out, tokens);
        String how = " | %s | %d | %s | ".formatted(precision, threads, storage.spelled());
        line(where + "x·wᵀ" + how, plain, coded, whole, w -> backend.linear(x, w, null, y, false));
        line(
            where + "dy·w" + how, plain, coded, whole, w -> backend.linearBackward(y, w, x, false));
        coded.release();
      }
    }
  }

  private static void line(
      String what,
      FrozenMatrix plain,
      FrozenMatrix coded,
      Runnable whole,
      Consumer<FrozenMatrix> product) {
    InTurn found = InTurn.of(() -> product.accept(plain), () -> product.accept(coded));
    InTurn first =
        InTurn.of(
            () -> {
              whole.run();
              product.accept(plain); // of the same size
            },
            () -> product.accept(coded));
    System.out.printf(
        Locale.ROOT,
        "%s%.2f | %.2f | %.2f | %.2f–%.2f | %.2f | %.2f | %.2f–%.2f | %.2f |%n",
        what,
        found.firstMs(),
        found.secondMs(),
        found.ratio(),
        found.low(),
        found.high(),
        first.firstMs(),
        first.ratio(),
        first.low(),
        first.high(),
        Math.max(found.othersCores(), first.othersCores()));
  }
}
