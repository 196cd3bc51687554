package dev.kindling.dl4j;

import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.BaseLayer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * Mutable: the layer at work. Its output is the mean loss of a worker's share, and the gradient of
 * that is its parameters': what the engine computes in one go, since an activation that leaves a
 * model is of no use to anyone here.
 */
final class TrainedAdapters extends BaseLayer<AdapterLayer> {
  private static final long serialVersionUID = 1;
  private transient @Nullable ShareLoss loss;
  private transient float[] computed = new float[0];

  TrainedAdapters(NeuralNetConfiguration conf, DataType type) {
    super(conf, type);
  }

  void bind(ShareLoss share) {
    loss = share;
  }

  @Override
  public INDArray activate(boolean training, LayerWorkspaceMgr memory) {
    ShareLoss share = loss;
    if (share == null) {
      throw new IllegalStateException("no share is bound: the network only trains, by its hook");
    }
    computed = new float[(int) numParams()];
    double mean = share.of(paramsFlattened.toFloatVector(), computed);
    INDArray out = memory.createUninitialized(ArrayType.ACTIVATIONS, dataType, 1, 1);
    return out.assign(mean);
  }

  @Override
  public Pair<Gradient, INDArray> backpropGradient(INDArray above, LayerWorkspaceMgr memory) {
    INDArray view = gradientViews.get(OneVector.NAME);
    Floats.put(computed, view);
    view.muli(above.getDouble(0));
    Gradient all = new DefaultGradient();
    all.setGradientFor(OneVector.NAME, view);
    INDArray below = memory.create(ArrayType.ACTIVATION_GRAD, dataType, 1, 1);
    return new Pair<>(all, below); // of the input, which is a placeholder
  }

  @Override
  public boolean isPretrainLayer() {
    return false;
  }
}
