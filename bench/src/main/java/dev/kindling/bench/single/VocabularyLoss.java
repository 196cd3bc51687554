package dev.kindling.bench.single;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;
import org.openjdk.jmh.annotations.Benchmark;

/**
 * Softmax cross entropy and its gradient of one chunk: 64 MiB of logits, 524 tokens of a vocabulary
 * of 32,000. It overwrites its logits, so that the next call reads what this one left; the time
 * does not depend on it.
 */
public class VocabularyLoss extends Operation {
  private static final int TOKENS = 524;
  private static final int VOCABULARY = 32_000;

  private Backend backend;
  private Tensor logits;
  private Tensor dlogits;
  private Tensor labels;
  private Tensor losses;

  @Override
  void open(Workbench bench) {
    backend = bench.backend();
    logits = bench.real(TOKENS, VOCABULARY);
    boolean same = backend.active() == backend.real();
    dlogits = same ? logits : bench.active(TOKENS, VOCABULARY);
    labels = bench.integers(i -> 7, TOKENS);
    losses = bench.real(TOKENS);
  }

  /** Losses and the gradient of the logits. */
  @Benchmark
  public void crossEntropy() {
    backend.crossEntropy(logits, labels, losses, dlogits);
  }
}
