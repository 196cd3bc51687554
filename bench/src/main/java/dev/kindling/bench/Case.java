package dev.kindling.bench;

import dev.kindling.data.Example;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.model.ModelPlan;
import dev.kindling.model.load.Families;
import dev.kindling.tensor.Seeds;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/**
 * What one measurement fixes.
 *
 * @param rank r; alpha is 2·r
 * @param rows of the batch, all of the workload's length: no padding
 * @param threads of each side's products and loops
 */
public record Case(Workload workload, int rank, int rows, int threads) {
  private static final long SEED = 0;

  /** Every case, the slowest last. */
  public static List<Case> all() {
    List<Case> cases = new ArrayList<>();
    for (int threads : new int[] {2, 1}) {
      cases.add(new Case(Workload.MINILM, 8, 32, threads));
      cases.add(new Case(Workload.GPT2_124M, 8, 1, threads));
      for (int rows : new int[] {2, 4}) {
        cases.add(new Case(Workload.LLAMA_60M, 8, rows, threads));
        cases.add(new Case(Workload.LLAMA_60M, 128, rows, threads));
        cases.add(new Case(Workload.LLAMA_60M, 256, rows, threads));
        cases.add(new Case(Workload.LLAMA_130M, 8, rows, threads));
        cases.add(new Case(Workload.LLAMA_130M, 128, rows, threads));
        cases.add(new Case(Workload.LLAMA_130M, 256, rows, threads));
        cases.add(new Case(Workload.LLAMA_250M, 8, rows, threads));
        cases.add(new Case(Workload.LLAMA_250M, 128, rows, threads));
      }
    }
    return cases;
  }

  /** Those that fit into ten minutes. */
  public static List<Case> quick() {
    return List.of(
        new Case(Workload.MINILM, 8, 32, 2),
        new Case(Workload.LLAMA_60M, 8, 2, 2),
        new Case(Workload.LLAMA_60M, 128, 2, 2),
        new Case(Workload.GPT2_124M, 8, 1, 2));
  }

  /**
   * Not in the table, for a step takes half a minute or more: where merging a weight costs next to
   * nothing beside multiplying with it.
   */
  private static List<Case> manyTokens() {
    return List.of(
        new Case(Workload.LLAMA_60M, 256, 8, 2), new Case(Workload.LLAMA_60M, 256, 16, 2));
  }

  /**
   * The case of a label.
   *
   * @throws IllegalArgumentException if there is none
   */
  public static Case of(String label) {
    return Stream.of(quick(), all(), manyTokens())
        .flatMap(List::stream)
        .filter(one -> one.label().equals(label))
        .findFirst()
        .orElseThrow(() -> new IllegalArgumentException("no case '" + label + "'"));
  }

  /** For example {@code llama-60m-r8-2048-2t}: workload, rank, tokens, threads. */
  public String label() {
    return "%s-r%d-%d-%dt".formatted(workload.name(), rank, tokens(), threads);
  }

  /** Tokens of the batch. */
  public int tokens() {
    return rows * workload.length();
  }

  /** The model. */
  public ModelPlan plan() {
    return Families.plan(workload.config(), workload.classes());
  }

  /** The trainables. */
  public AdapterLayout layout() {
    return AdapterLayout.of(
        plan().linears(),
        new AdapterSettings(rank, 2 * rank, 0, workload.targets(), workload.saved()));
  }

  /** The batch of every step: random tokens and, of a classifier, random classes. */
  public TokenBatch batch() {
    ModelPlan plan = plan();
    List<Example> examples = new ArrayList<>();
    for (int row = 0; row < rows; row++) {
      SplittableRandom random = new SplittableRandom(Seeds.of(SEED, "row", row));
      int[] ids = random.ints(workload.length(), 1, plan.vocabulary()).toArray();
      int[] labels = plan.predictsTokens() ? ids : new int[] {random.nextInt(workload.classes())};
      examples.add(new Example(row, ids, labels));
    }
    return TokenBatch.of(examples, plan.rules());
  }
}
