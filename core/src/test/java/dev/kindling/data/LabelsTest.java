package dev.kindling.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kindling.InvalidInput;
import dev.kindling.tensor.Backend;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Classes by name and by index. */
class LabelsTest {
  @Test
  void sorted_numbers_areInNumericOrder() {
    assertThat(Labels.sorted(Set.of("10", "9", "2")).names()).containsExactly("2", "9", "10");
  }

  @Test
  void sorted_anyText_isInTextOrder() {
    assertThat(Labels.sorted(Set.of("10", "9", "x")).names()).containsExactly("10", "9", "x");
  }

  @Test
  void index_nameOrIndex_isFound() {
    Labels labels = new Labels(List.of("neg", "pos", "neutral"));
    assertThat(labels.index("pos", "row 1")).isEqualTo(1);
    assertThat(labels.index("2", "row 1")).isEqualTo(2);
    assertThat(labels.size()).isEqualTo(3);
  }

  /** Classes may be named by numbers that are not their indices: stars 1 to 5. */
  @Test
  void index_nameThatIsAlsoAnIndex_countsAsName() {
    Labels labels = new Labels(List.of("1", "2", "3"));
    assertThat(labels.index("1", "row 1")).isZero();
    assertThat(labels.index("0", "row 1")).isZero();
  }

  @Test
  void index_ignoredLabel_isNoTarget() {
    assertThat(new Labels(List.of("a")).index("-100", "row 1")).isEqualTo(Backend.IGNORED);
  }

  @Test
  void index_unknownLabel_isRefusedWithRowAndClasses() {
    Labels labels = new Labels(List.of("neg", "pos"));
    for (String wrong : List.of("2", "Pos", "", "-1", "1.0", "99999999999")) {
      assertThatThrownBy(() -> labels.index(wrong, "train.csv row 7"))
          .isInstanceOf(InvalidInput.class)
          .hasMessageContaining("train.csv row 7")
          .hasMessageContaining("'" + wrong + "'")
          .hasMessageContaining("[neg, pos]")
          .hasMessageContaining("index from 0 to 1");
    }
  }

  @Test
  void index_manyClasses_messageNamesTheFirstFew() {
    Labels labels = new Labels(IntStream.range(0, 40).mapToObj(i -> "class" + i).toList());
    assertThatThrownBy(() -> labels.index("x", "row"))
        .hasMessageContaining("class11] and more")
        .hasMessageNotContaining("class12");
  }
}
