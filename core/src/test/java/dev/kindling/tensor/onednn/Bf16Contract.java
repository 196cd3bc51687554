package dev.kindling.tensor.onednn;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kindling.tensor.BackendContract;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInfo;

/**
 * The contract in bf16: all of it where a CPU multiplies it, and elsewhere what needs no oneDNN.
 */
abstract class Bf16Contract extends BackendContract {
  /** Tests of loops of our own. */
  private static final Set<String> ANYWHERE =
      Set.of(
          "rowLengths_ofAPairBesideAWeight_areThoseOfTheMergedOne",
          "columns_scaledAndMultiplied_equalReference",
          "change_frozenMatrix_isSeenByProductsOrRefused",
          "rope_thereAndBack_equalsReferenceAndIsItsOwnInverse",
          "columns_takenAndPut_equalReference",
          "columns_gathered_equalReference",
          "dropout_anySize_equalsReference",
          "dropout_maskDependsOnRowKeyAndLayerOnly",
          "decode_everyStoredType_isExact",
          "arena_growsOnceAndThenKeepsItsMemory");

  @BeforeEach
  void needsBf16(TestInfo test) {
    String name = test.getTestMethod().orElseThrow().getName();
    assumeTrue(InstructionSet.multipliesBf16() || ANYWHERE.contains(name), "no bf16 here");
  }
}
