package dev.kindling.train;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.BaseChange;
import dev.kindling.lora.Parameter;
import dev.kindling.lora.Parameter.Role;
import java.util.ArrayList;
import java.util.List;

/**
 * What averages of pairs leave out (FedEx-LoRA, arXiv:2410.09432): with weights pₖ of sum 1 and
 * means Ā and B̄,
 *
 * <pre>
 *   Σ pₖ·Bₖ·Aₖ − B̄·Ā = Σ pₖ·(Bₖ − B̄)·(Aₖ − Ā) = Σₖ﹤ₙ (Bₖ − Bₙ)·pₖ·(Aₖ − Ā)
 * </pre>
 *
 * <p>The last form, by Σ pₖ·(Aₖ − Ā) = 0, needs rank r·(n − 1) of n workers.
 */
final class Residual {
  private Residual() {}

  /**
   * The change of the base that makes up for averaging.
   *
   * @param workers at least two
   * @param mean of their trainables, by targets
   */
  static BaseChange of(AdapterLayout layout, List<WorkerResult> workers, float[] mean) {
    double all = workers.stream().mapToLong(WorkerResult::targets).sum();
    int r = layout.settings().r();
    AdapterLayout pairs = layout.pairs(r);
    float[] last = workers.get(workers.size() - 1).trainables();
    List<BaseChange> parts = new ArrayList<>();
    for (WorkerResult worker : workers.subList(0, workers.size() - 1)) {
      double weight = worker.targets() / all;
      float[] own = worker.trainables();
      float[] factors = new float[pairs.elements()];
      for (Parameter to : pairs.parameters()) {
        boolean down = to.role() == Role.A || to.role() == Role.EMBEDDING_A;
        int from = layout.find(to.module(), to.role()).orElseThrow().offset();
        for (int i = 0; i < to.elements(); i++) {
          double x = own[from + i];
          factors[to.offset() + i] =
              (float) (down ? weight * (x - mean[from + i]) : x - last[from + i]);
        }
      }
      parts.add(new BaseChange(r, factors));
    }
    return BaseChange.sum(layout, parts);
  }
}
