package dev.kindling.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Percentage.withPercentage;

import dev.kindling.bench.peer.Peer;
import dev.kindling.lora.Parameter;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Both sides do the same training step: otherwise no time of theirs may be compared. */
class SidesTest {
  private static final int STEPS = 4;

  /** Every family, of awkward sizes. */
  static List<Case> cases() {
    return List.of(
        new Case(Workload.bert("bert", 24, 40, 2, 3, 101, 7), 3, 5, 1),
        new Case(Workload.llama("llama", 24, 40, 2, 3, 101, 7), 5, 3, 1),
        new Case(Workload.gpt2("gpt2", 24, 2, 3, 101, 7), 2, 3, 1));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void fp32_lossesAndEveryGradientOfFourSteps_equalLibtorchs(Case setting) {
    for (String backend : List.of("nd4j", "onednn")) {
      Side ours = Ours.open(setting, backend, Precision.FP32);
      Side peer = Peer.open(setting, Precision.FP32);
      for (int step = 0; step < STEPS; step++) {
        assertThat(ours.step()).isCloseTo(peer.step(), withPercentage(1e-3));
        assertGradients(setting, ours.gradient(), peer.gradient(), 1e-3);
      }
    }
  }

  /** bf16 keeps 8 bits; a lost mask, scale or layer would show as a difference of its own size. */
  @ParameterizedTest
  @MethodSource("cases")
  void bf16_lossAndEveryGradient_areNearFp32s(Case setting) {
    Side half = Peer.open(setting, Precision.BF16);
    Side full = Peer.open(setting, Precision.FP32);
    assertThat(half.step()).isCloseTo(full.step(), withPercentage(3));
    assertGradients(setting, half.gradient(), full.gradient(), 0.05);
  }

  private static void assertGradients(Case setting, float[] found, float[] wanted, double share) {
    for (Parameter p : setting.layout().parameters()) {
      double off = 0;
      double norm = 0;
      for (int i = p.offset(); i < p.offset() + p.elements(); i++) {
        off += Math.pow(found[i] - wanted[i], 2);
        norm += Math.pow(wanted[i], 2);
      }
      assertThat(norm).as(p.name()).isPositive();
      assertThat(Math.sqrt(off / norm)).as(p.name()).isLessThan(share);
    }
  }
}
