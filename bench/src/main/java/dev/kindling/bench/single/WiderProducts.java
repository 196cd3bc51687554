package dev.kindling.bench.single;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.onednn.InstructionSet;
import java.util.List;
import java.util.Locale;
import java.util.function.IntConsumer;
import java.util.function.Supplier;
import java.util.stream.Stream;

/**
 * Whether layers that read the same input are faster as one product: query, key and value (three of
 * 512) and gate and up (two of 1,376) of llama-60m at 2,048 tokens, and their pairs' thin products
 * with projections that have a row for each rank, as {@code nn.SharedInput} has them.
 */
final class WiderProducts {
  private static final int TOKENS = 2048;
  private static final int IN = 512;
  private static final int[] RANKS = {8, 128};

  private final Workbench bench;
  private final Backend backend;
  private final int count;

  private WiderProducts(Workbench bench, int count) {
    this.bench = bench;
    this.backend = bench.backend();
    this.count = count;
  }

  static void print() {
    System.out.println(
        "| product | precision | threads | apart, ms | one, ms | ratio | quartiles | others |");
    System.out.println("|---|---|---|---|---|---|---|---|");
    List<String> precisions =
        InstructionSet.multipliesBf16() ? List.of("fp32", "bf16") : List.of("fp32");
    for (String precision : precisions) {
      for (int threads = 1; threads <= 2; threads++) {
        try (Workbench bench = new Workbench("onednn-" + precision, threads)) {
          String where = precision + " | " + threads;
          WiderProducts three = new WiderProducts(bench, 3);
          line("q, k, v: x·wᵀ", where, three.forward(512));
          line("q, k, v: dy·w", where, three.backward(512));
          three.thin("q, k, v", where);
          WiderProducts two = new WiderProducts(bench, 2);
          line("gate, up: x·wᵀ", where, two.forward(1376));
          line("gate, up: dy·w", where, two.backward(1376));
          two.thin("gate, up", where);
        }
      }
    }
  }

  private void thin(String layers, String where) {
    for (int rank : RANKS) {
      line(layers + ": a·xᵀ, r = " + rank, where, projections(rank));
      line(layers + ": z·x, r = " + rank, where, gradients(rank));
      line(layers + ": dx += zᵀ·a, r = " + rank, where, branches(rank));
    }
  }

  private static void line(String product, String where, InTurn found) {
    System.out.printf(
        Locale.ROOT,
        "| %s | %s | %.3f | %.3f | %.3f | %.3f–%.3f | %.2f |%n",
        product,
        where,
        found.firstMs(),
        found.secondMs(),
        found.ratio(),
        found.low(),
        found.high(),
        found.othersCores());
  }

  private InTurn forward(int out) {
    Tensor x = bench.active(TOKENS, IN);
    List<FrozenMatrix> w = each(() -> bench.frozen(out, IN));
    List<Tensor> y = each(() -> bench.active(TOKENS, out));
    FrozenMatrix wide = bench.frozen(count * out, IN);
    Tensor all = bench.active(TOKENS, (long) count * out);
    return InTurn.of(
        () -> apart(i -> backend.linear(x, w.get(i), null, y.get(i), false)),
        () -> backend.linear(x, wide, null, all, false));
  }

  private InTurn backward(int out) {
    Tensor dx = bench.active(TOKENS, IN);
    List<FrozenMatrix> w = each(() -> bench.frozen(out, IN));
    List<Tensor> dy = each(() -> bench.active(TOKENS, out));
    FrozenMatrix wide = bench.frozen(count * out, IN);
    Tensor all = bench.active(TOKENS, (long) count * out);
    return InTurn.of(
        () -> apart(i -> backend.linearBackward(dy.get(i), w.get(i), dx, i > 0)),
        () -> backend.linearBackward(all, wide, dx, false));
  }

  private InTurn projections(int rank) {
    Tensor x = bench.active(TOKENS, IN);
    List<Tensor> a = each(() -> bench.active(rank, IN));
    List<Tensor> p = each(() -> bench.active(rank, TOKENS));
    Tensor wide = bench.active((long) count * rank, IN);
    Tensor all = bench.active((long) count * rank, TOKENS);
    return InTurn.of(
        () -> apart(i -> backend.matmul(a.get(i), false, x, true, 1, 0, p.get(i))),
        () -> backend.matmul(wide, false, x, true, 1, 0, all));
  }

  private InTurn gradients(int rank) {
    Tensor x = bench.active(TOKENS, IN);
    List<Tensor> z = each(() -> bench.active(rank, TOKENS));
    List<Tensor> da = each(() -> bench.real(rank, IN));
    Tensor all = bench.active((long) count * rank, TOKENS);
    Tensor wide = bench.real((long) count * rank, IN);
    return InTurn.of(
        () -> apart(i -> backend.matmul(z.get(i), false, x, false, 1, 0, da.get(i))),
        () -> backend.matmul(all, false, x, false, 1, 0, wide));
  }

  private InTurn branches(int rank) {
    Tensor dx = bench.active(TOKENS, IN);
    List<Tensor> z = each(() -> bench.active(rank, TOKENS));
    List<Tensor> a = each(() -> bench.active(rank, IN));
    Tensor all = bench.active((long) count * rank, TOKENS);
    Tensor wide = bench.active((long) count * rank, IN);
    return InTurn.of(
        () -> apart(i -> backend.matmul(z.get(i), true, a.get(i), false, 1e-3, 1, dx)),
        () -> backend.matmul(all, true, wide, false, 1e-3, 1, dx));
  }

  private <T> List<T> each(Supplier<T> maker) {
    return Stream.generate(maker).limit(count).toList();
  }

  private void apart(IntConsumer product) {
    for (int i = 0; i < count; i++) {
      product.accept(i);
    }
  }
}
