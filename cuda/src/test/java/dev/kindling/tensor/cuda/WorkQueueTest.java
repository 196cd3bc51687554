package dev.kindling.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Tensor;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Whatever is held back, done at once or done beside, is done as if each call were by itself. */
class WorkQueueTest {
  /** Elements of a gradient that is copied beside the work. */
  private static final int LARGE = 3 << 18;

  private final Shimmed backend = Shimmed.open(Precision.FP32, CudaBackend.MOST_SCORES);
  private final StrictDriver driver = backend.driver();
  private final Tensor sum = backend.allocate(DType.F32, 4);
  private final Tensor one = filled(4, 1);

  @AfterEach
  void close() {
    backend.close();
    assertThat(driver.graphs()).isZero();
  }

  private Tensor filled(int elements, float value) {
    Tensor tensor = backend.allocate(DType.F32, elements);
    float[] values = new float[elements];
    Arrays.fill(values, value);
    backend.write(tensor, 0, values, 0, elements);
    return tensor;
  }

  private float[] values(Tensor tensor) {
    float[] values = new float[(int) tensor.elements()];
    backend.read(tensor, values);
    return values;
  }

  /** Works of one sequence, which ends when it is read. */
  private float added(int times) {
    for (int i = 0; i < times; i++) {
      backend.add(sum, one, sum);
    }
    return values(sum)[0];
  }

  @ParameterizedTest
  @ValueSource(ints = {8, 256, 600})
  void run_sequenceThatCameTwice_isDoneByGraphs(int works) {
    values(sum); // what filled it is no part of the sequence
    assertThat(added(works)).isEqualTo(works);
    assertThat(added(works)).isEqualTo(2f * works);
    int calls = driver.calls();
    int replayed = driver.replayed(); // of 600, the second 256 are as the first
    assertThat(added(works)).isEqualTo(3f * works);
    assertThat(added(works)).isEqualTo(4f * works);
    assertThat(driver.replayed() - replayed).isEqualTo(2 * works);
    assertThat(driver.calls() - calls).isEqualTo(2 * ((works + 255) / 256));
  }

  @Test
  void run_sequenceThatIsShorterOrLongerOrGoesOnOtherwise_isDoneCallByCall() {
    values(sum);
    added(20);
    assertThat(added(20)).isEqualTo(40);
    assertThat(added(19)).isEqualTo(59);
    assertThat(added(21)).isEqualTo(80);
    assertThat(driver.replayed()).isZero();
    for (int i = 0; i < 12; i++) {
      backend.add(sum, one, sum);
    }
    backend.zero(sum);
    for (int i = 0; i < 7; i++) {
      backend.add(sum, one, sum);
    }
    assertThat(values(sum)[0]).isEqualTo(7);
    assertThat(driver.replayed()).isZero();
    assertThat(added(20)).as("what came before is still known").isEqualTo(27);
    assertThat(driver.replayed()).isEqualTo(20);
  }

  @Test
  void run_fewWorks_areNotWorthAGraph() {
    for (int i = 1; i < 6; i++) {
      assertThat(added(7)).isEqualTo(7f * i);
    }
    assertThat(driver.replayed()).isZero();
  }

  /** What comes once is forgotten, and costs nothing that comes again its graph. */
  @Test
  void run_manySequencesThatComeOnce_leaveTheGraphs() {
    values(sum);
    added(8);
    added(8);
    assertThat(driver.graphs()).isEqualTo(1);
    Tensor[] others = new Tensor[300];
    for (int i = 0; i < others.length; i++) {
      others[i] = filled(1, 0);
    }
    for (int round = 0; round < 2; round++) { // too many to be remembered
      for (Tensor other : others) {
        for (int i = 0; i < 8; i++) {
          backend.add(other, other, other);
        }
        assertThat(values(other)).containsExactly(0);
      }
    }
    assertThat(driver.graphs()).isEqualTo(1);
    assertThat(added(8)).isEqualTo(24);
    assertThat(driver.replayed()).isEqualTo(8);
  }

  /** Graphs of 16,384 works, of which those that were not used for longest go. */
  @Test
  void run_manySequencesThatComeAgain_keepAsManyGraphs() {
    Tensor[] others = new Tensor[66];
    for (int i = 0; i < others.length; i++) {
      others[i] = filled(1, 0);
      for (int round = 0; round < 2; round++) {
        for (int k = 0; k < 256; k++) {
          backend.add(others[i], others[i], others[i]);
        }
        values(others[0]);
      }
      if (i > 0) { // what is used stays
        for (int k = 0; k < 256; k++) {
          backend.add(others[0], others[0], others[0]);
        }
        values(others[0]);
      }
    }
    assertThat(driver.graphs()).isEqualTo(64);
    assertThat(driver.replayed()).isEqualTo(65 * 256);
  }

  @Test
  void run_deviceThatTakesNoGraph_isAskedOnce() {
    values(sum);
    driver.refuseGraphs();
    for (int i = 1; i < 6; i++) {
      assertThat(added(10)).isEqualTo(10f * i);
    }
    assertThat(driver.refused()).isEqualTo(1);
  }

  @Test
  void run_deviceThatCannotRunAGraph_isGivenItsWorks() {
    values(sum);
    for (int i = 1; i < 4; i++) {
      assertThat(added(10)).isEqualTo(10f * i);
    }
    assertThat(driver.replayed()).isEqualTo(10);
    driver.refuseGraphs();
    assertThat(added(10)).isEqualTo(40);
    assertThat(added(10)).isEqualTo(50);
    assertThat(driver.replayed()).isEqualTo(10);
    assertThat(driver.graphs()).as("there is no use for it").isZero();
  }

  /** What does not fit beside graphs does without them. */
  @Test
  void allocate_whereGraphsHaveTheMemory_getsTheirs() {
    values(sum);
    added(10);
    added(10);
    assertThat(driver.graphs()).isEqualTo(1);
    driver.limit(driver.liveBytes() + 64);
    Tensor more = backend.allocate(DType.F32, 16);
    assertThat(driver.graphs()).isZero();
    assertThatThrownBy(() -> backend.allocate(DType.F32, 16)).hasMessageContaining("it is full");
    assertThat(added(10)).isEqualTo(30);
    backend.free(more);
  }

  @Test
  void fetch_largeTensor_letsOtherWorkGoOnAndHasWhatWasThere() {
    Tensor gradient = filled(LARGE, 5);
    float[] into = new float[LARGE];
    Backend.Arriving arriving = backend.fetch(gradient, into);
    backend.add(sum, one, sum);
    assertThat(values(sum)[0]).isEqualTo(1);
    assertThat(driver.waits()).isZero();
    backend.zero(gradient.slice(LARGE - 8, 4)); // a view of the same memory
    backend.zero(gradient);
    assertThat(driver.waits()).isEqualTo(1);
    arriving.await();
    assertThat(into).containsOnly(5);
    Backend.Arriving next = backend.fetch(gradient, into);
    next.await();
    backend.zero(gradient);
    assertThat(driver.waits()).as("nobody waits for what has arrived").isEqualTo(1);
    assertThat(into).containsOnly(0);
  }

  @Test
  void fetch_largeTensorThatIsFreedOrWritten_hasWhatWasThere() {
    Tensor first = filled(LARGE, 6);
    Tensor second = filled(LARGE, 7);
    float[] ofFirst = new float[LARGE];
    float[] ofSecond = new float[LARGE];
    Backend.Arriving one = backend.fetch(first, ofFirst);
    Backend.Arriving other = backend.fetch(second, ofSecond);
    backend.free(first);
    backend.write(second, LARGE - 2, new float[] {1, 2}, 0, 2);
    other.await();
    one.await();
    assertThat(ofFirst).containsOnly(6);
    assertThat(ofSecond).containsOnly(7);
  }

  /** A graph waits at its beginning for what any of its works would. */
  @Test
  void fetch_largeTensorThatAGraphOverwrites_hasWhatWasThere() {
    Tensor gradient = filled(LARGE, 2);
    float[] into = new float[LARGE];
    for (int round = 0; round < 4; round++) {
      Backend.Arriving arriving = backend.fetch(gradient, into);
      for (int i = 0; i < 8; i++) {
        backend.add(sum, one, sum);
      }
      backend.add(gradient, gradient, gradient);
      values(sum);
      arriving.await();
      assertThat(into).containsOnly(2f * (1 << round));
    }
    assertThat(driver.replayed()).isEqualTo(2 * 9);
    assertThat(driver.waits()).isEqualTo(4);
  }
}
