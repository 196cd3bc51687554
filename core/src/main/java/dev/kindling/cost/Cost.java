package dev.kindling.cost;

import dev.kindling.cost.Work.Kind;
import dev.kindling.lora.plan.Product;
import dev.kindling.tensor.AttentionShape;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * All that a computation asks of a backend.
 *
 * @param works how often each operation occurs
 * @param largest its largest product; null if there is none
 * @param attention its largest attention; null if there is none
 */
public record Cost(
    Map<Work, Integer> works, @Nullable Product largest, @Nullable AttentionShape attention) {
  public Cost {
    works = Map.copyOf(works);
  }

  /** Floating-point operations. */
  public long flops() {
    return works.entrySet().stream().mapToLong(e -> e.getKey().flops() * e.getValue()).sum();
  }

  /** Floating-point operations of one kind. */
  public long flops(Kind kind) {
    return works.entrySet().stream()
        .filter(e -> e.getKey().kind() == kind)
        .mapToLong(e -> e.getKey().flops() * e.getValue())
        .sum();
  }

  /** Bytes read and written, each operand of an operation once. */
  public long bytes() {
    return works.entrySet().stream().mapToLong(e -> e.getKey().bytes() * e.getValue()).sum();
  }

  /** Predicted seconds of one kind. */
  public double seconds(Kind kind, Rates rates) {
    return works.entrySet().stream()
        .filter(e -> e.getKey().kind() == kind)
        .mapToDouble(e -> rates.seconds(e.getKey()) * e.getValue())
        .sum();
  }

  /** Predicted seconds. */
  public double seconds(Rates rates) {
    double sum = 0;
    for (Kind kind : Kind.values()) {
      sum += seconds(kind, rates);
    }
    return sum;
  }
}
