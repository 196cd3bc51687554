package dev.kindling.tensor.gpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.tensor.gpu.Guard.Wanted;
import dev.kindling.tensor.gpu.Machine.Bindings;
import dev.kindling.tensor.gpu.Machine.Card;
import dev.kindling.tensor.gpu.Machine.Driver;
import dev.kindling.tensor.gpu.Machine.Library;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The table of decisions. */
class GuardTest {
  private static Guard.Decision decide(
      String driver,
      int capability,
      Set<Library> libraries,
      Set<Bindings> bindings,
      Wanted wanted) {
    Optional<Driver> known =
        driver.equals("none")
            ? Optional.empty()
            : Optional.of(
                new Driver(
                    Integer.parseInt(driver.substring(0, 3)),
                    Integer.parseInt(driver.substring(4))));
    Optional<Card> card =
        capability < 0
            ? Optional.empty()
            : Optional.of(new Card(0, "GPU-1", "a card", capability, 1L << 36));
    Machine machine = new Machine(known, card.stream().toList(), libraries, bindings);
    return Guard.decide(machine, card, wanted);
  }

  private static String words(Guard.Decision decision) {
    if (decision instanceof Guard.Cpu cpu) {
      return "cpu: " + cpu.why();
    }
    if (decision instanceof Guard.Refused refused) {
      return "refused: " + refused.advice();
    }
    return decision instanceof Guard.Cuda13 ? "cuda" : "nd4j-cuda";
  }

  /** A capability of -1 is no device; 13, 11, both: the libraries that are there. */
  @ParameterizedTest(name = "{0} {1} {2} {3}")
  @CsvSource(
      delimiter = '|',
      value = {
        "none   | -1 | none | CUDA      | cpu: no NVIDIA driver",
        "none   | -1 | both | ND4J_CUDA | cpu: no NVIDIA driver",
        "580.82 | -1 | both | CUDA      | cpu: there is no such GPU",
        "580.82 | 90 | both | CPU       | cpu: ",
        "none   | -1 | none | CPU       | cpu: ",
        // Hopper and newer.
        "580.82 | 90 | 13   | CUDA      | cuda",
        "580.82 | 100| 13   | CUDA      | cuda",
        "580.82 | 90 | both | ND4J_CUDA | set compute.backend = cuda, or auto for the CPU",
        "580.82 | 100| 11   | ND4J_CUDA | set compute.backend = cuda",
        "550.54 | 90 | 13   | CUDA      | the driver is 550.54, and CUDA 13 needs 580.65 or later:"
            + " install it",
        "580.65 | 90 | 11   | CUDA      | libcudart.so.13, libcublasLt.so.13, libnvrtc.so.13 not"
            + " found",
        "580.64 | 90 | 13   | CUDA      | refused: the driver is 580.64",
        // Ampere and Ada: both can.
        "580.82 | 80 | 13   | CUDA      | cuda",
        "580.82 | 80 | 11   | ND4J_CUDA | nd4j-cuda",
        "470.57 | 86 | 11   | ND4J_CUDA | nd4j-cuda",
        "470.57 | 86 | both | CUDA      | or set compute.backend = nd4j-cuda",
        "580.82 | 89 | 11   | ND4J_CUDA | nd4j-cuda",
        "580.82 | 89 | 13   | ND4J_CUDA | libcublas.so.11 not found: build the jar",
        // Older ones.
        "580.82 | 75 | 13   | CUDA      | cuda",
        "580.82 | 75 | 13   | CUDA_ROUNDED | (compute capability 7.5): set train.precision = fp32",
        "580.82 | 80 | 13   | CUDA_ROUNDED | cuda",
        "580.82 | 70 | both | CUDA      | set compute.backend = nd4j-cuda, or auto",
        "580.82 | 70 | both | ND4J_CUDA | nd4j-cuda",
        "470.57 | 35 | 11   | ND4J_CUDA | is older than ND4J's CUDA backend",
        "580.82 | 35 | 13   | CUDA      | set compute.backend = auto for the CPU",
        "440.33 | 70 | 11   | ND4J_CUDA | the driver is 440.33, and CUDA 11 needs 450.80",
        // A driver that does not tell capabilities is too old for the one; the other cannot judge.
        "470.57 | 0  | both | CUDA      | the driver is 470.57",
        "470.57 | 0  | both | ND4J_CUDA | refused: a card"
      })
  void decide_anyMachine_isAsTabled(
      String driver, int capability, String libraries, Wanted wanted, String expected) {
    Set<Library> found =
        switch (libraries) {
          case "13" -> EnumSet.of(Library.CUDART_13, Library.CUBLASLT_13, Library.NVRTC_13);
          case "11" -> EnumSet.of(Library.CUBLAS_11);
          case "both" -> EnumSet.allOf(Library.class);
          default -> EnumSet.noneOf(Library.class);
        };
    String said = words(decide(driver, capability, found, Set.of(), wanted));
    if (expected.startsWith("cuda") || expected.startsWith("nd4j-cuda")) {
      assertThat(said).isEqualTo(expected);
    } else {
      assertThat(said).contains(expected);
    }
  }

  @Test
  void decide_bothBindingsOnTheClassPath_isRefused() {
    EnumSet<Library> libraries = EnumSet.allOf(Library.class);
    EnumSet<Bindings> both = EnumSet.allOf(Bindings.class);
    for (Wanted wanted : List.of(Wanted.CUDA, Wanted.ND4J_CUDA)) {
      assertThat(words(decide("580.82", 80, libraries, both, wanted)))
          .contains("leave one of them out");
    }
    assertThat(words(decide("580.82", 80, libraries, both, Wanted.CPU))).isEqualTo("cpu: ");
  }
}
