package dev.kindling.job.gpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kindling.job.config.ConfigProblems;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Who may compute on what. */
class FleetTest {
  private static final TaskSlot FIRST = new TaskSlot("0", "a", "GPU-1", 80L << 30, "NVIDIA H100");
  private static final TaskSlot SECOND = new TaskSlot("1", "b", "GPU-2", 40L << 30, "NVIDIA H100");
  private static final TaskSlot CPU = new TaskSlot("2", "c", "", 0, "driver 470 is too old");
  private static final Set<String> ALL = Set.of("0", "1", "2");

  private final Fleet fleet = new Fleet();

  @Test
  void judge_deviceForEach_knowsTheOwners() {
    fleet.judge(List.of(FIRST, SECOND, FIRST), "cuda", false, ALL);
    assertThat(fleet.owners()).isEqualTo(Map.of("GPU-1", "0", "GPU-2", "1"));
    assertThat(fleet.leastBytes()).isEqualTo(40L << 30);
  }

  @Test
  void judge_noneAnywhere_isRefusedEvenIfMixedIsAllowed() {
    assertThatThrownBy(() -> fleet.judge(List.of(CPU), "cuda", true, ALL))
        .isInstanceOf(ConfigProblems.class)
        .hasMessageContaining("executor 2 on c: driver 470 is too old")
        .hasMessageContaining("compute.backend = auto");
  }

  @Test
  void judge_someWithout_isRefusedUnlessMixedIsAllowed() {
    assertThatThrownBy(() -> fleet.judge(List.of(FIRST, CPU), "cuda", false, ALL))
        .isInstanceOf(ConfigProblems.class)
        .hasMessageContaining("executor 2 on c")
        .hasMessageContaining("compute.allow-mixed = true");
    fleet.judge(List.of(FIRST, CPU), "cuda", true, ALL);
    assertThat(fleet.owners()).isEqualTo(Map.of("GPU-1", "0"));
  }

  @Test
  void see_twoExecutorsOnOneDevice_isRefused() {
    fleet.see(Map.of("0", Set.of("GPU-1")), ALL);
    assertThatThrownBy(() -> fleet.see(Map.of("1", Set.of("GPU-1")), ALL))
        .isInstanceOf(ConfigProblems.class)
        .hasMessageContaining("executors 0 and 1 on GPU-1");
  }

  /** What an executor leaves behind is free for the next. */
  @Test
  void see_deviceOfAnExecutorThatIsGone_passesToTheNext() {
    fleet.see(Map.of("0", Set.of("GPU-1")), Set.of("0"));
    fleet.see(Map.of("5", Set.of("GPU-1")), Set.of("5"));
    assertThat(fleet.owners()).isEqualTo(Map.of("GPU-1", "5"));
  }

  @Test
  void slot_thereAndBack_isItself() {
    assertThat(TaskSlot.decode(CPU.encode())).isEqualTo(CPU);
    assertThat(TaskSlot.decode(FIRST.encode())).isEqualTo(FIRST);
  }
}
