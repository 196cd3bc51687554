package dev.kindling.tensor.onednn;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.BackendContract;
import dev.kindling.tensor.Precision;
import org.junit.jupiter.api.BeforeAll;

class OneDnnBf16Test extends BackendContract {
  @BeforeAll
  static void needsBf16() {
    assumeTrue(InstructionSet.multipliesBf16());
  }

  @Override
  protected Backend open() {
    return new OneDnnBackend(Precision.BF16, 1);
  }
}
