package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kindling.tensor.onednn.InstructionSet;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The quickstart as a newcomer runs it, against what PyTorch reaches with the same recipe: {@code
 * mvn verify -Pquickstart}. Minutes long, so not part of every build.
 */
@Tag("quickstart")
class QuickstartIT {
  /** Mean over three PyTorch runs, less two standard deviations. */
  private static final double BAR = 0.8922 - 2 * 0.0035;

  /** In fp32, on every CPU so far. */
  private static final double FOUND = 0.8954;

  @TempDir Path temp;

  @Test
  void quickstart_defaultSeed_reachesPyTorch() {
    assertThat(accuracy("fp32")).isGreaterThanOrEqualTo(BAR);
  }

  /** Eight bits of activations and operands cost no more than half a point. Found were 89.35 %. */
  @Test
  void quickstart_inBf16_costsAtMostHalfAPoint() {
    assumeTrue(InstructionSet.multipliesBf16());
    assertThat(accuracy("bf16")).isGreaterThanOrEqualTo(FOUND - 0.005);
  }

  private double accuracy(String precision) {
    Launched run =
        Launched.kindling(
            List.of(
                "train",
                "../conf/quickstart.conf",
                "train.precision=" + precision,
                "output=" + temp.resolve("out")),
            Running.SENDS_THE_JAR);
    assertThat(run.code()).as(run.stderr()).isZero();
    assertThat(run.json().at("/steps").asInt()).isEqualTo(603);
    assertThat(run.json().at("/before/accuracy").asDouble()).isLessThan(0.25);
    return run.json().at("/validation/accuracy").asDouble();
  }
}
