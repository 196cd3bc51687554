package dev.kindling.tensor.onednn;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.BackendContract;
import dev.kindling.tensor.Precision;
import org.junit.jupiter.api.BeforeAll;

/** The contract in bf16 with more threads than pieces, and as many as do not divide them. */
class OneDnnBf16ThreadsTest extends BackendContract {
  @BeforeAll
  static void needsBf16() {
    assumeTrue(InstructionSet.multipliesBf16());
  }

  @Override
  protected Backend open() {
    return new OneDnnBackend(Precision.BF16, 3);
  }
}
