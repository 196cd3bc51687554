package dev.kindling.job.broadcast;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kindling.data.TokenBatch;
import dev.kindling.job.GoldenFolder;
import dev.kindling.lora.BaseChange;
import dev.kindling.lora.Halves;
import dev.kindling.lora.Prefix;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.model.Golden;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.load.Compute;
import dev.kindling.tensor.load.Engine;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** An executor's base through changes that fail. */
class ExecutorModelsTest {
  private Golden golden;
  private WeightDelivery base;

  @BeforeEach
  void open(@TempDir Path temp) {
    golden = new Golden(GoldenFolder.copy("bert", temp).folder());
    base = new WeightDelivery.Mapped(golden.folder.toString());
  }

  private ModelSpec spec() {
    return ModelSpec.of(
        UUID.randomUUID().toString(),
        golden.base.config().toString(),
        golden.base.config().get("id2label").size(),
        golden.plan,
        golden.layout,
        0,
        new Compute(Engine.ONEDNN, Precision.FP32, 1),
        new PlanChooser.FewestFlops(),
        Storage.FP32,
        false,
        Halves.BOTH);
  }

  private float[] logits(ModelSpec spec, WeightDelivery delivery) {
    ExecutorModels models = ExecutorModels.of(spec, delivery);
    Prefix all = models.prefix(golden.layout.settings().r());
    return models.use(
        all,
        golden.adapter.values(golden.layout),
        model -> {
          model.evaluate(TokenBatch.of(golden.rows, golden.plan.rules()));
          return model.logits();
        });
  }

  @Test
  void of_changeThatFailsInTheMiddle_isNotAddedTwice() {
    try (JavaSparkContext spark =
        new JavaSparkContext(
            new SparkConf()
                .setMaster("local[1]")
                .setAppName("t")
                .set("spark.ui.enabled", "false"))) {
      float[] factors = new float[golden.layout.pairs(2).elements()];
      Arrays.fill(factors, 0.05f);
      float[] cut = Arrays.copyOf(factors, factors.length / 2);
      SentChanges sent = new SentChanges();
      WeightDelivery whole =
          new WeightDelivery.Changed(base, sent.of(spark, List.of(new BaseChange(2, factors))));
      WeightDelivery broken =
          new WeightDelivery.Changed(
              base, new SentChanges().of(spark, List.of(new BaseChange(2, cut))));
      ModelSpec undisturbed = spec();
      float[] expected = logits(undisturbed, whole);
      ModelSpec disturbed = spec();
      float[] before = logits(disturbed, base);
      assertThatThrownBy(() -> logits(disturbed, broken)).isInstanceOf(RuntimeException.class);
      assertThat(logits(disturbed, whole)).isEqualTo(expected).isNotEqualTo(before);
      assertThatThrownBy(() -> logits(disturbed, base)).hasMessageContaining("is late");
      ExecutorModels.release(undisturbed.run());
      ExecutorModels.release(disturbed.run());
    }
  }
}
