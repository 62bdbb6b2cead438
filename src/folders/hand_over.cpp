#include "folders/hand_over.hpp"

namespace mailroot::folders {

Result<HandOver> HandOver::prepare(const Mailroot& mailroot, const os::Folder& folder,
                                   std::string name, std::string_view block,
                                   MessageReader& reader) {
    auto file = os::NewFile::create(mailroot.files, folder, '.' + name + ".tmp");
    if (!file) return fail(std::move(file));
    MAILROOT_TRY(file->append(block));
    MAILROOT_TRY(copy_all(reader, *file));
    MAILROOT_TRY(file->name('.' + name + ".ready"));
    auto durable = mailroot.files.sync(folder);
    if (!durable) {
        // Its source stays as it was, and perhaps goes elsewhere: recovery must not finish this.
        (void)mailroot.files.unlink(folder, '.' + name + ".ready");
        return fail(std::move(durable));
    }
    return HandOver(std::move(*file));
}

Result<void> HandOver::show(std::string_view final_name) {
    return file_.rename(final_name);
}

}  // namespace mailroot::folders
