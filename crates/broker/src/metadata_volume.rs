use std::sync::Arc;

use forebay_controller::Controller;
use forebay_log::volume::VolumeState;
use forebay_replica::Condition;
use tokio::sync::watch;

/// Keeps the metadata log and the volume it lies on of one mind: what its calls find of the device is told to the volume's
/// monitor, and on a volume that has failed it is let alone until that is readmitted.
pub(crate) async fn watch(
    controller: Controller,
    condition: Arc<Condition>,
    mut stopping: watch::Receiver<bool>,
) {
    let (mut reports, mut faults, mut told) = (condition.watch(), controller.faults(), 0);
    loop {
        let found = *faults.borrow_and_update();
        for _ in told..found {
            condition.note_fault();
        }
        told = found;
        let report = reports.borrow_and_update().clone();
        match report.state {
            VolumeState::Failed => controller.bar(report.sentence().map(Arc::from)),
            VolumeState::Normal | VolumeState::Low | VolumeState::Full | VolumeState::HardFull => {
                controller.bar(None);
            }
            // What was known at the start stands until more is.
            VolumeState::Probing => {}
        }
        tokio::select! {
            biased;
            () = async { drop(stopping.wait_for(|stopping| *stopping).await) } => return,
            news = reports.changed() => if news.is_err() {
                return;
            },
            news = faults.changed() => if news.is_err() {
                return;
            },
        }
    }
}
