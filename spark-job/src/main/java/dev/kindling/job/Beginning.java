package dev.kindling.job;

import dev.kindling.job.config.JobConfig;
import dev.kindling.lora.BaseChange;
import dev.kindling.lora.Initialiser.FromBase;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.StartFromBase;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Where a run begins.
 *
 * @param values of the trainables
 * @param changes of the base that belong to them
 */
record Beginning(float[] values, List<BaseChange> changes) {
  /** As drawn or imported. */
  static Beginning plain(Preparation prepared) {
    return new Beginning(prepared.start(), List.of());
  }

  /** As the configuration's initialiser has it; reads each adapted weight, one at a time. */
  static Beginning of(JobConfig config, Preparation prepared) {
    Optional<FromBase> initialiser = config.adapter().fromBase();
    if (initialiser.isEmpty()) {
      return plain(prepared);
    }
    Map<String, LinearModule> modules = new HashMap<>();
    prepared.plan().linears().forEach(m -> modules.put(m.name(), m));
    float[] values = prepared.start();
    BaseChange change =
        StartFromBase.apply(
            prepared.layout(),
            values,
            initialiser.get(),
            name -> Sources.weight(prepared.base(), modules.get(name)));
    return new Beginning(values, List.of(change));
  }
}
